package engine

import "errors"

// ErrLeaseLost says that another run has taken the user over.
var ErrLeaseLost = errors.New("lease lost: another run has taken this user over")
