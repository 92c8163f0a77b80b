package policy

import (
	"errors"
	"unicode/utf8"

	"golang.org/x/net/idna"
)

// lookup maps names as UTS #46 says for a look-up. Hyphens and the repertoire of
// ASCII are checked by checkName instead, because names with an underscore or
// "--" in third place are in daily use.
var lookup = idna.New(
	idna.MapForLookup(),
	idna.BidiRule(),
	idna.Transitional(false),
	idna.StrictDomainName(false),
	idna.CheckHyphens(false),
)

// asciiName gives the form in which a name goes to the resolver and into TLS. A
// form that would be mapped once more, or refused, is none.
func asciiName(raw string) (string, error) {
	ascii, err := lookup.ToASCII(raw)
	if err == nil && utf8.ValidString(raw) {
		if again, err := lookup.ToASCII(ascii); err == nil && again == ascii {
			return ascii, nil
		}
	}
	return "", errors.New("it is not a domain name")
}
