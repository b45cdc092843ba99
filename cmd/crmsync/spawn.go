package main

import (
	"errors"
	"os"
	"os/exec"
)

// spawn starts this program in the background and does not wait for it. It outlives
// the terminal; its output goes to a file.
func spawn(log string, args ...string) (int, error) {
	self, err := os.Executable()
	if err != nil {
		return 0, err
	}
	f, err := os.OpenFile(log, os.O_CREATE|os.O_WRONLY|os.O_TRUNC, 0o600)
	if err != nil {
		return 0, err
	}
	cmd := exec.Command(self, args...) //nolint:noctx // it outlives this command
	cmd.Stdout, cmd.Stderr = f, f
	cmd.SysProcAttr = detached()
	if err := errors.Join(cmd.Start(), f.Close()); err != nil {
		return 0, err
	}
	// Nobody waits for it to end, but one that ends at once must not seem to be alive.
	go func() { _ = cmd.Wait() }()
	return cmd.Process.Pid, nil
}
