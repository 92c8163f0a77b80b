package probe

import (
	"fmt"

	"golang.org/x/net/dns/dnsmessage"
)

// zone is where the probe's names are: it can't exist (RFC 6761, 6.4).
const zone = ".bot-bottle.invalid."

// Question gives the DNS question for the address of the name that carries the
// nonce, which must be a label (RFC 1035: at most 63 letters, digits, hyphens).
func Question(nonce string) ([]byte, error) {
	name, err := dnsmessage.NewName(nonce + zone)
	if err != nil {
		return nil, fmt.Errorf("making a name of the nonce: %w", err)
	}
	m := dnsmessage.Message{
		Header:    dnsmessage.Header{RecursionDesired: true},
		Questions: []dnsmessage.Question{{Name: name, Type: dnsmessage.TypeA, Class: dnsmessage.ClassINET}},
	}
	return m.Pack()
}
