package image

import (
	"errors"

	"github.com/bot-bottle/action/internal/term"
	"golang.org/x/sys/unix"
)

// subject is what errors are about until somebody knows the image's name.
const subject = "image"

// explain makes an error for people of one that is about unpacking.
func explain(err error) error {
	if errors.As(err, new(*term.Error)) {
		return err
	}
	e := term.Errorf(term.StagePreflight, subject, "unpacking: %w", err)
	switch {
	case isFull(err):
		return e.WithHint("free some space on the disk of the state folder; unpacked images are in its folder \"images\"")
	case errors.As(err, new(broken)):
		return e.WithHint("the registry broke off; try again")
	}
	return e.WithHint("build the image again, or use another; what is inside may be meant to do harm")
}

func isFull(err error) bool { return errors.Is(err, unix.ENOSPC) || errors.Is(err, unix.EDQUOT) }

// about gives an error the name of the image.
func about(name string, err error) error {
	var known *term.Error
	if errors.As(err, &known) && known.Subject == subject {
		known.Subject = name
	}
	return err
}
