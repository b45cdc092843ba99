package remote

import (
	"errors"
	"fmt"
	"strings"
	"time"
)

// Class says what an error means for what happens next.
type Class string

// The classes of an error.
const (
	// ClassItem: the side refuses this one item; the others go on.
	ClassItem Class = "item"
	// ClassConflict: the item has changed since it was read. Read it again.
	ClassConflict Class = "conflict"
	// ClassDuplicate: the side holds a record that it takes for the same.
	ClassDuplicate Class = "duplicate"
	// ClassGone: the item does not exist any more.
	ClassGone Class = "gone"
	// ClassContainerGone: the container does not exist any more.
	ClassContainerGone Class = "container-gone"
	// ClassCursorLost: the cursor can no longer be read from.
	ClassCursorLost Class = "cursor-lost"
	// ClassPressure: the side asks us to wait.
	ClassPressure Class = "pressure"
	// ClassTransient: it may work the next time.
	ClassTransient Class = "transient"
	// ClassAuthorization: this user's data may not be reached.
	ClassAuthorization Class = "authorization"
	// ClassConnection: the system as a whole refuses us, whoever the user is.
	ClassConnection Class = "connection"
	// ClassMapping: the side does not know a field or a type that we ask for.
	ClassMapping Class = "mapping"
	// ClassSetup: what we were told to use is wrong or missing on our own side.
	ClassSetup Class = "setup"
)

// Error is what a connector says went wrong. Its text never holds a secret or the
// content of a record.
type Error struct {
	Class Class
	// Code is the vendor's own word, for example ErrorAccessDenied; Status the HTTP
	// status, 0 if there was no answer.
	Code   string
	Status int
	// Message is the cause in plain words, in lower case.
	Message string
	// Hint is what to do about it, in words; may be empty.
	Hint string
	// RetryAfter is how long the server asks us to wait; 0 if it does not say.
	RetryAfter time.Duration
	// Fields are the side's fields that an item was refused for.
	Fields []string
	// Unclear: nobody knows whether the write took effect.
	Unclear bool
	// Whole, of ClassPressure: the budget of the system as a whole is used up, whoever
	// the user is.
	Whole bool
	Err   error
}

func (e *Error) Error() string {
	var b strings.Builder
	b.WriteString(e.Message)
	if b.Len() == 0 {
		b.WriteString(string(e.Class) + " error")
	}
	switch {
	case e.Status != 0 && e.Code != "":
		fmt.Fprintf(&b, " (%d %s)", e.Status, e.Code)
	case e.Status != 0:
		fmt.Fprintf(&b, " (%d)", e.Status)
	case e.Code != "":
		fmt.Fprintf(&b, " (%s)", e.Code)
	}
	return b.String()
}

func (e *Error) Unwrap() error { return e.Err }

// ClassOf returns the class of an error; an error that no connector classified is
// transient, because nothing is known against trying again.
func ClassOf(err error) Class {
	var e *Error
	if errors.As(err, &e) {
		return e.Class
	}
	return ClassTransient
}

// Is reports whether err has the class.
func Is(err error, c Class) bool { return err != nil && ClassOf(err) == c }

// IsWhole reports whether err says that the budget of a system as a whole is used up.
func IsWhole(err error) bool {
	var e *Error
	return errors.As(err, &e) && e.Class == ClassPressure && e.Whole
}

// IsUnclear reports whether err leaves open if a write took effect. An error that
// no connector classified does.
func IsUnclear(err error) bool {
	var e *Error
	if errors.As(err, &e) {
		return e.Unclear
	}
	return err != nil
}
