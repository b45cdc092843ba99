//go:build unix

package main

import (
	"errors"
	"syscall"
)

// alive tells whether a process runs: signal 0 asks and does nothing.
func alive(pid int) bool {
	err := syscall.Kill(pid, 0)
	return err == nil || errors.Is(err, syscall.EPERM)
}

// detached is what keeps a process when its terminal goes: a session of its own.
func detached() *syscall.SysProcAttr { return &syscall.SysProcAttr{Setsid: true} }
