package sandbox

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"path/filepath"
	"strings"
	"time"

	"github.com/crmsync/crmsync/internal/sync/sandbox/m365"
	"github.com/crmsync/crmsync/internal/sync/sandbox/sfdc"
)

// Errors of a sandbox.
var (
	// ErrNotRunning: there is a sandbox in the directory, or there is none, but no
	// process runs it.
	ErrNotRunning = errors.New("the sandbox is not running")
	// ErrRunning: another process runs the sandbox in this directory.
	ErrRunning = errors.New("the sandbox is already running")
	// ErrNotFound: there is no such contact, user or folder.
	ErrNotFound = errors.New("not found")
	// ErrAmbiguous: several contacts have the name.
	ErrAmbiguous = errors.New("ambiguous")
)

// Side is one of the two systems.
type Side string

// The two sides.
const (
	CRM     Side = "crm"
	Mailbox Side = "mailbox"
)

// Client changes the data of a sandbox as people do, and makes it misbehave. A contact
// is named by its id, by its whole name, or by an e-mail address of its own, and a user
// by e-mail address or id. It may be used from several goroutines.
type Client struct {
	do caller
}

// caller runs one operation: in this process, or over the control address.
type caller func(ctx context.Context, op string, in, out any) error

// Status is what a sandbox is and where.
type Status struct {
	Endpoints
	Dir     string    `json:"dir"`
	Seed    uint64    `json:"seed"`
	Started time.Time `json:"started"`
	Users   int       `json:"users"`
	CRM     int       `json:"crmContacts"`
	Mailbox int       `json:"mailboxContacts"`
}

// Stats counts the round trips to either side.
type Stats struct {
	Graph      m365.Stats `json:"graph"`
	Salesforce sfdc.Stats `json:"salesforce"`
}

// Person is a user who has both a CRM licence and a mailbox, or one of them.
type Person struct {
	Email string `json:"email"`
	Name  string `json:"name"`
	// CRMUser and MailboxID are empty on a side where the person is not.
	CRMUser   string `json:"crmUser,omitempty"`
	MailboxID string `json:"mailboxId,omitempty"`
}

// Contact is a contact of either side.
type Contact struct {
	ID   string `json:"id"`
	Name string `json:"name"`
	// Owner is the e-mail address of the CRM user who owns it; Folder is where it lies
	// in a mailbox.
	Owner  string `json:"owner,omitempty"`
	Folder string `json:"folder,omitempty"`
	// Fields are those that are not empty. In the CRM, Account is the account's name.
	Fields Fields `json:"fields"`
	// Deleted contacts lie in the CRM's recycle bin; MergedInto says what replaced one.
	Deleted    bool      `json:"deleted,omitempty"`
	MergedInto string    `json:"mergedInto,omitempty"`
	Hidden     bool      `json:"hidden,omitempty"`
	Modified   time.Time `json:"modified"`
}

// LoadResult says what became of a file that was loaded.
type LoadResult struct {
	Created int `json:"created"`
	Updated int `json:"updated"`
	// Unknown are the columns that have no place on this side.
	Unknown []string `json:"unknown,omitempty"`
	// Problems are the rows that were not loaded.
	Problems []RowProblem `json:"problems,omitempty"`
}

// RowProblem is why one row of a file was not loaded.
type RowProblem struct {
	// Row is the line of a CSV file, or the number of the card in a vCard file, from 1.
	Row     int    `json:"row"`
	Message string `json:"message"`
}

// Knobs change how the servers behave. Nil leaves a knob as it is.
type Knobs struct {
	// CRMLatency delays each call to the CRM, MailboxLatency each to Graph.
	CRMLatency     *time.Duration `json:"crmLatency,omitempty"`
	MailboxLatency *time.Duration `json:"mailboxLatency,omitempty"`
	// CRMClockSkew moves the CRM's clock.
	CRMClockSkew *time.Duration `json:"crmClockSkew,omitempty"`
	// LateCommit makes people's edits in the CRM visible so much after their stamp.
	LateCommit *time.Duration `json:"lateCommit,omitempty"`
	// DuplicateRule turns the CRM's duplicate rule on or off.
	DuplicateRule *bool `json:"duplicateRule,omitempty"`
	// LowercaseEmail makes the CRM rewrite e-mail addresses.
	LowercaseEmail *bool `json:"lowercaseEmail,omitempty"`
	// APIUsed and APILimit set the CRM's budget of calls; they go together.
	APIUsed  *int `json:"apiUsed,omitempty"`
	APILimit *int `json:"apiLimit,omitempty"`
	// FailLocks makes so many writes in the CRM fail with UNABLE_TO_LOCK_ROW.
	FailLocks *int `json:"failLocks,omitempty"`
	// ValidationRules replace those of the CRM.
	ValidationRules *[]sfdc.ValidationRule `json:"validationRules,omitempty"`
	// RemoveFields and GiveFields take fields of the CRM's Contact away and give them back.
	RemoveFields []string `json:"removeFields,omitempty"`
	GiveFields   []string `json:"giveFields,omitempty"`
	// ExpireSessions ends the sessions of the CRM, ExpireTokens the tokens of Graph.
	ExpireSessions bool `json:"expireSessions,omitempty"`
	ExpireTokens   bool `json:"expireTokens,omitempty"`
	// ExpireDeltaTokens makes the delta links of these mailboxes unusable.
	ExpireDeltaTokens []string `json:"expireDeltaTokens,omitempty"`
	// MailboxStates sets what the mailboxes of users are like, such as unlicensed.
	MailboxStates map[string]m365.MailboxState `json:"mailboxStates,omitempty"`
	// CRMUsersActive activates or deactivates CRM users.
	CRMUsersActive map[string]bool `json:"crmUsersActive,omitempty"`
}

// Open finds the sandbox in a directory that another process runs. The error is
// ErrNotRunning if none does.
func Open(ctx context.Context, dir string) (*Client, error) {
	var e Endpoints
	found, err := readJSON(filepath.Join(dir, fileEndpoints), &e)
	if err != nil {
		return nil, err
	}
	if !found || e.Control == "" {
		return nil, ErrNotRunning
	}
	c := &Client{do: remote(e)}
	// Whoever else listens on that port now does not know the token.
	if err := c.do(ctx, "ping", nil, nil); err != nil {
		return nil, errors.Join(ErrNotRunning, ctx.Err())
	}
	return c, nil
}

// remote calls a sandbox in another process.
func remote(e Endpoints) caller {
	client := &http.Client{Transport: &http.Transport{}}
	return func(ctx context.Context, op string, in, out any) error {
		body, err := json.Marshal(in)
		if err != nil {
			return err
		}
		req, err := http.NewRequestWithContext(ctx, http.MethodPost, e.Control+"/"+op, bytes.NewReader(body))
		if err != nil {
			return err
		}
		req.Header.Set("Authorization", "Bearer "+e.ControlToken)
		req.Header.Set("Content-Type", "application/json")
		res, err := client.Do(req)
		if err != nil {
			return fmt.Errorf("%w: %w", ErrNotRunning, err)
		}
		defer func() { _ = res.Body.Close() }()
		reply, err := io.ReadAll(res.Body)
		if err != nil {
			return err
		}
		if res.StatusCode != http.StatusOK {
			return remoteError(res.StatusCode, reply)
		}
		if out == nil {
			return nil
		}
		return json.Unmarshal(reply, out)
	}
}

// problem is an error on its way to another process.
type problem struct {
	Error string `json:"error"`
	Kind  string `json:"kind,omitempty"`
}

var kinds = map[string]error{"not-found": ErrNotFound, "ambiguous": ErrAmbiguous}

func remoteError(status int, reply []byte) error {
	var p problem
	if json.Unmarshal(reply, &p) != nil || p.Error == "" {
		return fmt.Errorf("the sandbox answered %d", status)
	}
	if kind := kinds[p.Kind]; kind != nil {
		return &knownError{text: p.Error, kind: kind}
	}
	return errors.New(p.Error)
}

type knownError struct {
	text string
	kind error
}

func (e *knownError) Error() string { return e.text }
func (e *knownError) Unwrap() error { return e.kind }

// Status tells what runs where.
func (c *Client) Status(ctx context.Context) (st Status, err error) {
	return st, c.do(ctx, "status", nil, &st)
}

// Stats returns the counts of both servers.
func (c *Client) Stats(ctx context.Context) (st Stats, err error) {
	return st, c.do(ctx, "stats", nil, &st)
}

// ResetStats sets the counts to zero.
func (c *Client) ResetStats(ctx context.Context) error { return c.do(ctx, "reset-stats", nil, nil) }

// People lists the users.
func (c *Client) People(ctx context.Context) (people []Person, err error) {
	return people, c.do(ctx, "people", nil, &people)
}

// target names what an operation is about.
type target struct {
	Side    Side   `json:"side,omitempty"`
	User    string `json:"user,omitempty"`
	Contact string `json:"contact,omitempty"`
	Folder  string `json:"folder,omitempty"`
	Fields  Fields `json:"fields,omitempty"`
	// To is a new owner, a new folder, or a new name; Others are the losers of a merge.
	To     string   `json:"to,omitempty"`
	Others []string `json:"others,omitempty"`
	On     bool     `json:"on,omitempty"`
}

// Contacts lists the contacts of one side: those that a CRM user owns, or all for "",
// deleted ones included; or those in all folders of a user's mailbox.
func (c *Client) Contacts(ctx context.Context, side Side, user string) (list []Contact, err error) {
	return list, c.do(ctx, "contacts", target{Side: side, User: user}, &list)
}

// CreateCRM adds a contact that a user owns and returns its id. The field Account is
// the name of an account, which is added if there is none.
func (c *Client) CreateCRM(ctx context.Context, owner string, f Fields) (id string, err error) {
	return id, c.do(ctx, "create", target{Side: CRM, User: owner, Fields: f}, &id)
}

// EditCRM sets fields of a contact.
func (c *Client) EditCRM(ctx context.Context, contact string, f Fields) error {
	return c.do(ctx, "edit", target{Side: CRM, Contact: contact, Fields: f}, nil)
}

// DeleteCRM puts a contact into the recycle bin.
func (c *Client) DeleteCRM(ctx context.Context, contact string) error {
	return c.do(ctx, "delete", target{Side: CRM, Contact: contact}, nil)
}

// UndeleteCRM takes a contact out of the recycle bin, by its id.
func (c *Client) UndeleteCRM(ctx context.Context, id string) error {
	return c.do(ctx, "undelete", target{Side: CRM, Contact: id}, nil)
}

// PurgeCRM takes a deleted contact out of the recycle bin for good, by its id.
func (c *Client) PurgeCRM(ctx context.Context, id string) error {
	return c.do(ctx, "purge", target{Side: CRM, Contact: id}, nil)
}

// MergeCRM merges one or two contacts into a winner.
func (c *Client) MergeCRM(ctx context.Context, winner string, losers ...string) error {
	return c.do(ctx, "merge", target{Side: CRM, Contact: winner, Others: losers}, nil)
}

// ChangeOwner gives a CRM contact to another user.
func (c *Client) ChangeOwner(ctx context.Context, contact, owner string) error {
	return c.do(ctx, "owner", target{Side: CRM, Contact: contact, To: owner}, nil)
}

// HideCRM withdraws the integration's right to see a contact, or gives it back.
func (c *Client) HideCRM(ctx context.Context, contact string, hidden bool) error {
	return c.do(ctx, "hide", target{Side: CRM, Contact: contact, On: hidden}, nil)
}

// CreateMailbox adds a contact to a folder of a mailbox, "" being the default folder,
// and returns its id.
func (c *Client) CreateMailbox(ctx context.Context, user, folder string, f Fields) (id string, err error) {
	return id, c.do(ctx, "create", target{Side: Mailbox, User: user, Folder: folder, Fields: f}, &id)
}

// EditMailbox sets fields of a contact in a mailbox.
func (c *Client) EditMailbox(ctx context.Context, user, contact string, f Fields) error {
	return c.do(ctx, "edit", target{Side: Mailbox, User: user, Contact: contact, Fields: f}, nil)
}

// DeleteMailbox moves a contact to Deleted Items.
func (c *Client) DeleteMailbox(ctx context.Context, user, contact string) error {
	return c.do(ctx, "delete", target{Side: Mailbox, User: user, Contact: contact}, nil)
}

// RestoreMailbox moves a contact back from Deleted Items, by its id.
func (c *Client) RestoreMailbox(ctx context.Context, user, id string) error {
	return c.do(ctx, "undelete", target{Side: Mailbox, User: user, Contact: id}, nil)
}

// MoveMailbox moves a contact into another folder, "" being the default folder.
func (c *Client) MoveMailbox(ctx context.Context, user, contact, folder string) error {
	return c.do(ctx, "move", target{Side: Mailbox, User: user, Contact: contact, To: folder}, nil)
}

// CopyMailbox copies a contact into a folder, with all that it carries unseen, and
// returns the id of the copy.
func (c *Client) CopyMailbox(ctx context.Context, user, contact, folder string) (id string, err error) {
	return id, c.do(ctx, "copy", target{Side: Mailbox, User: user, Contact: contact, To: folder}, &id)
}

// Folders lists the contact folders of a mailbox.
func (c *Client) Folders(ctx context.Context, user string) (list []m365.Folder, err error) {
	return list, c.do(ctx, "folders", target{User: user}, &list)
}

// RenameFolder gives a contact folder another name.
func (c *Client) RenameFolder(ctx context.Context, user, folder, name string) error {
	return c.do(ctx, "rename-folder", target{User: user, Folder: folder, To: name}, nil)
}

// DeleteFolder deletes a contact folder with what is in it.
func (c *Client) DeleteFolder(ctx context.Context, user, folder string) error {
	return c.do(ctx, "delete-folder", target{User: user, Folder: folder}, nil)
}

// LoadCRM loads a CSV file of contacts that a user owns; "" is the first user. A row
// whose External_Id is known changes the contact that has it.
func (c *Client) LoadCRM(ctx context.Context, file io.Reader, owner string) (res LoadResult, err error) {
	text, err := io.ReadAll(file)
	if err != nil {
		return res, err
	}
	return res, c.do(ctx, "load", load{Side: CRM, User: owner, File: text}, &res)
}

// LoadMailbox loads a CSV or vCard file of contacts into a folder of a mailbox; "" is
// the folder CRM. A folder that does not exist is made.
func (c *Client) LoadMailbox(ctx context.Context, user, folder string, file io.Reader) (res LoadResult, err error) {
	text, err := io.ReadAll(file)
	if err != nil {
		return res, err
	}
	return res, c.do(ctx, "load", load{Side: Mailbox, User: user, Folder: folder, File: text}, &res)
}

// load is a file on its way to another process.
type load struct {
	Side   Side   `json:"side"`
	User   string `json:"user,omitempty"`
	Folder string `json:"folder,omitempty"`
	// File is whatever bytes the file has; JSON carries them in base 64.
	File []byte `json:"file"`
}

// FaultCRM makes calls to the CRM go wrong.
func (c *Client) FaultCRM(ctx context.Context, f sfdc.Fault) error {
	return c.do(ctx, "fault-crm", f, nil)
}

// FaultMailbox makes calls to Graph go wrong.
func (c *Client) FaultMailbox(ctx context.Context, f m365.Fault) error {
	return c.do(ctx, "fault-mailbox", f, nil)
}

// ClearFaults takes all faults of both sides away.
func (c *Client) ClearFaults(ctx context.Context) error { return c.do(ctx, "clear-faults", nil, nil) }

// Turn changes how the servers behave.
func (c *Client) Turn(ctx context.Context, k Knobs) error { return c.do(ctx, "knobs", k, nil) }

// Reset replaces all data by fresh data from the same seed. Ports, secrets and the
// configuration stay.
func (c *Client) Reset(ctx context.Context) error { return c.do(ctx, "reset", nil, nil) }

// Stop ends the sandbox in order and returns when it no longer answers. Its data stays.
func (c *Client) Stop(ctx context.Context) error {
	if err := c.do(ctx, "stop", nil, nil); err != nil {
		return err
	}
	for {
		if errors.Is(c.do(ctx, "ping", nil, nil), ErrNotRunning) {
			return ctx.Err()
		}
		t := time.NewTimer(20 * time.Millisecond)
		select {
		case <-ctx.Done():
			t.Stop()
			return ctx.Err()
		case <-t.C:
		}
	}
}

// matches reports whether a person could mean this contact by a name or address.
func (c Contact) matches(name string) bool {
	if strings.EqualFold(c.Name, name) {
		return true
	}
	for _, field := range []string{"Email", "emailAddresses"} {
		for _, e := range split(c.Fields[field]) {
			if strings.EqualFold(e, name) {
				return true
			}
		}
	}
	return false
}
