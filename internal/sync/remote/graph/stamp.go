package graph

import (
	"encoding/json"
	"strings"

	"github.com/crmsync/crmsync/internal/sync/record"
	"github.com/crmsync/crmsync/internal/sync/remote"
)

// Our stamp and our claim are single-value extended properties in a property set of
// our own (https://learn.microsoft.com/graph/api/resources/singlevaluelegacyextendedproperty).
// Each name takes a slot of the mailbox for ever, so there are these two and no more,
// and they never change.
const (
	propertySet   = "{6c1f2f0e-5b0a-4c0e-9d0c-3a9f1b7e42d8}"
	stampProperty = "String " + propertySet + " Name crmsync"
	claimProperty = "String " + propertySet + " Name crmsyncClaim"
)

// property is one extended property.
type property struct {
	ID    string `json:"id"`
	Value string `json:"value"`
}

// expand asks for one extended property of each item.
func expand(id string) string {
	return "singleValueExtendedProperties($filter=id eq " + quote(id) + ")"
}

// find returns the value of a property. The service may spell its id with the set's
// letters in another case.
func find(properties []property, id string) (string, bool) {
	for _, p := range properties {
		if strings.EqualFold(p.ID, id) {
			return p.Value, true
		}
	}
	return "", false
}

// stampOf returns the stamp of an item; nil if it bears none of ours.
func stampOf(properties []property) *record.Stamp {
	value, ok := find(properties, stampProperty)
	if !ok {
		return nil
	}
	s, err := record.ParseStamp(value)
	if err != nil {
		return nil
	}
	return &s
}

// noClaim takes the place of a claim: a property cannot be taken away.
const noClaim = "{}"

func claimOf(properties []property) *remote.Claim {
	value, ok := find(properties, claimProperty)
	if !ok {
		return nil
	}
	var c remote.Claim
	if json.Unmarshal([]byte(value), &c) != nil || c.Install == "" {
		return nil
	}
	return &c
}

func claimValue(c remote.Claim) ([]property, error) {
	text, err := json.Marshal(c)
	if err != nil {
		return nil, setup("the claim cannot be written", "")
	}
	return []property{{ID: claimProperty, Value: string(text)}}, nil
}
