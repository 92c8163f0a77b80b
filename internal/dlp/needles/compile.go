package needles

import (
	"fmt"
	"unicode/utf8"

	"github.com/bot-bottle/action/internal/secret"
)

const (
	// Window is how many letters and digits of a secret in a row, or of one of its
	// forms, are a match. Twenty of base64's characters are 15 bytes of a secret, twenty of
	// hex ten: less tells too little to use it, and random text holds no such run (36^20).
	// Words that happen to stand in a secret are shorter too.
	Window = 20

	// MinBytes is the least length of a secret: a shorter one stands in every text by
	// chance.
	MinBytes = 6

	// MaxBytes of a secret are looked for; of a longer one its beginning.
	MaxBytes = 64 << 10

	// MaxTotal bounds the secrets of a Set together. Its memory is some 60 times that.
	MaxTotal = 1 << 20

	// minLoose is how many letters and digits a form needs to be looked for by these
	// alone; with fewer, every byte of it has to be there.
	minLoose = 8

	// minDistinct is how many different letters and digits a window needs to count:
	// zeros in base64 are in every second file. Twenty random digits have less than six
	// once in 30,000 times, those of hex never.
	minDistinct = 6
)

// Options are what differs between users of a Set. The zero value will do.
type Options struct {
	// Public lists what may stand in a secret and is none, such as the public half
	// of a key. It is cut out of the secrets. Headers of tokens and armour of keys
	// are known without.
	Public []string

	// Lead is how many letters and digits that may be the beginning of a match Safe
	// takes for safe. Almost any letter may, so with 0 nearly every message is held
	// until the next one comes.
	Lead int
}

// Unusable says that a secret, or a part of it, is not looked for.
type Unusable struct {
	Name   string // of the secret
	Line   int    // of the secret, from 1; 0 is all of it
	Reason string // never holds anything of the secret but its length
}

// String gives the name and the reason.
func (u Unusable) String() string {
	if u.Line > 0 {
		return fmt.Sprintf("line %d of the secret %q is not looked for: %s", u.Line, u.Name, u.Reason)
	}
	return fmt.Sprintf("the secret %q is not looked for: %s", u.Name, u.Reason)
}

// Set is what is looked for. It is safe for concurrent use, and is never changed.
type Set struct {
	loose *index // by letters and digits; nil if there is nothing
	exact *index // by all bytes; nil if there is nothing
	lead  int
}

// Compile makes a Set of secrets, and tells which it had to leave out. The time is some
// 1.5 µs for each byte of them. The error says that a name can't be shown.
func Compile(secrets []secret.Value, o Options) (*Set, []Unusable, error) {
	var (
		unusable     []Unusable
		loose, exact builder
		total        int
	)
	for i, s := range secrets {
		if s.Name() == "" && s.IsEmpty() {
			continue // a secret that there isn't
		}
		if s.Name() == "" || !utf8.ValidString(s.Name()) {
			return nil, nil, fmt.Errorf("compiling the secrets: number %d has no name that can be shown", i+1)
		}
		value := s.Reveal() // to be looked for; stays in the index
		if total += min(len(value), MaxBytes); total > MaxTotal {
			unusable = append(unusable, Unusable{Name: s.Name(), Reason: fmt.Sprintf("all secrets together have more than %d bytes", MaxTotal)})
			total -= min(len(value), MaxBytes)
			continue
		}
		parts, refused := partsOf(s.Name(), value, o.Public)
		unusable = append(unusable, refused...)
		for _, part := range parts {
			for _, f := range formsOf(part) {
				addForm(&loose, &exact, s.Name(), f)
			}
		}
	}
	return &Set{loose: loose.index(), exact: exact.index(), lead: o.Lead}, unusable, nil
}

// addForm puts a form where it is found by the least of it that tells it apart.
func addForm(loose, exact *builder, name string, f form) {
	if dense := lettersAndDigits(f.text); len(dense) >= minLoose {
		loose.add(name, f.kind, dense)
	} else {
		exact.add(name, f.kind, f.text)
	}
}

func lettersAndDigits(s string) string {
	dense := make([]byte, 0, len(s))
	for i := range len(s) {
		if looseClasses.raw[s[i]] == keep {
			dense = append(dense, s[i])
		}
	}
	return string(dense)
}
