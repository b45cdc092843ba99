package settings_test

import (
	"testing"

	"github.com/crmsync/crmsync/internal/sync/record"
	"github.com/crmsync/crmsync/internal/sync/settings"
)

// BenchmarkRules finds the rules of one user out of 10,000 who each have a value.
func BenchmarkRules(b *testing.B) {
	var all []settings.Setting
	for id := range int64(10_000) {
		all = append(all, settings.Setting{Level: settings.User, Subject: settings.UserSubject(id), Key: "contacts.conflict.notes", Value: "hold"})
	}
	book := settings.NewBook(all)
	b.ReportAllocs()
	for id := int64(0); b.Loop(); id++ {
		if _, err := book.For(id%10_000, "EMEA").Rules(record.Contacts); err != nil {
			b.Fatal(err)
		}
	}
}
