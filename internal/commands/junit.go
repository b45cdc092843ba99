package commands

import (
	"encoding/xml"
	"io"
	"time"

	"github.com/crmsync/crmsync/internal/sync/admin"
)

// The JUnit report as continuous integration servers read it. There is no standard;
// this keeps to what Jenkins' schema and GitLab's documentation have in common:
// https://github.com/jenkinsci/xunit-plugin, https://docs.gitlab.com/ci/testing/unit_test_reports/

type junitReport struct {
	XMLName xml.Name     `xml:"testsuites"`
	Suites  []junitSuite `xml:"testsuite"`
}

type junitSuite struct {
	Name      string      `xml:"name,attr"`
	Tests     int         `xml:"tests,attr"`
	Failures  int         `xml:"failures,attr"`
	Skipped   int         `xml:"skipped,attr"`
	Time      string      `xml:"time,attr"`
	Timestamp string      `xml:"timestamp,attr"`
	Cases     []junitCase `xml:"testcase"`
}

type junitCase struct {
	// Class is the check, Name the user: servers list failures by both.
	Class   string        `xml:"classname,attr"`
	Name    string        `xml:"name,attr"`
	Time    string        `xml:"time,attr"`
	Failure *junitMessage `xml:"failure"`
	Skipped *junitMessage `xml:"skipped"`
	Output  string        `xml:"system-out,omitempty"`
}

type junitMessage struct {
	Type    string `xml:"type,attr,omitempty"`
	Message string `xml:"message,attr"`
}

// writeJUnit writes checks as a JUnit report. A warning is a passed case that says
// something.
func writeJUnit(w io.Writer, rows []checkRow, start time.Time, took time.Duration) error {
	suite := junitSuite{
		Name: "crmsync check", Tests: len(rows),
		Time: seconds(took), Timestamp: start.UTC().Format("2006-01-02T15:04:05"),
	}
	for _, r := range rows {
		c := junitCase{Class: r.Check.Check, Name: r.User, Time: seconds(r.Duration)}
		if c.Name == "" {
			c.Name = "connection"
		}
		switch r.Result {
		case admin.CheckFailed:
			suite.Failures++
			c.Failure = &junitMessage{Type: r.Code, Message: r.Message}
		case admin.CheckSkipped:
			suite.Skipped++
			c.Skipped = &junitMessage{Message: r.Message}
		case admin.CheckWarning:
			c.Output = "warning: " + r.Message
		}
		suite.Cases = append(suite.Cases, c)
	}
	if _, err := io.WriteString(w, xml.Header); err != nil {
		return err
	}
	enc := xml.NewEncoder(w)
	enc.Indent("", "  ")
	if err := enc.Encode(junitReport{Suites: []junitSuite{suite}}); err != nil {
		return err
	}
	_, err := io.WriteString(w, "\n")
	return err
}
