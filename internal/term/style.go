package term

import (
	"os"

	"github.com/mattn/go-isatty"
)

// Style paints text for a terminal. The zero value paints nothing, so that
// plain output needs no branches.
type Style struct{ on bool }

// NewStyle gives a Style that paints, or, when colour is false, doesn't.
func NewStyle(colour bool) Style { return Style{on: colour} }

// On tells whether the style paints.
func (s Style) On() bool { return s.on }

// Bold, Dim, Green, Yellow and Red give text so painted (SGR 1, 2, 32, 33, 31).
// The paint is ended after it; text must not hold paint of its own.
func (s Style) Bold(text string) string { return s.paint("1", text) }

// Dim is for what matters least; see Bold.
func (s Style) Dim(text string) string { return s.paint("2", text) }

// Green is for what went as it should; see Bold.
func (s Style) Green(text string) string { return s.paint("32", text) }

// Yellow is for what somebody should look at; see Bold.
func (s Style) Yellow(text string) string { return s.paint("33", text) }

// Red is for what went wrong; see Bold.
func (s Style) Red(text string) string { return s.paint("31", text) }

func (s Style) paint(code, text string) string {
	if !s.on || text == "" {
		return text
	}
	return "\x1b[" + code + "m" + text + "\x1b[0m"
}

// IsTerminal tells whether f is a terminal.
func IsTerminal(f *os.File) bool { return isatty.IsTerminal(f.Fd()) }

// Colour tells whether what is written to f should be painted: NO_COLOR
// (https://no-color.org) set to anything forbids it, CLICOLOR_FORCE
// (https://bixense.com/clicolors) other than "0" demands it, and without either it
// depends on f being a terminal that isn't called "dumb". getenv is os.Getenv or
// a test's.
func Colour(f *os.File, getenv func(string) string) bool {
	switch force := getenv("CLICOLOR_FORCE"); {
	case getenv("NO_COLOR") != "":
		return false
	case force != "" && force != "0":
		return true
	}
	return Live(f, getenv)
}

// Live tells whether f is a terminal on which a line may be drawn again.
func Live(f *os.File, getenv func(string) string) bool {
	return IsTerminal(f) && getenv("TERM") != "dumb"
}
