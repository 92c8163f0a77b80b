package deploykey

import (
	"fmt"
	"regexp"
	"strconv"
	"time"

	"github.com/bot-bottle/action/internal/term"
)

// Title says whose a key is, so that whoever administers the repository can see
// it, and any host can sweep it. Anybody else may write one too: it proves nothing.
type Title struct {
	Host   string    // the ledger's id of the host
	Run    string    // the run's id
	Expiry time.Time // by the forge's clock, in whole seconds
}

// titleForm holds ids of the ledger (of [a-z2-7], some ten or sixteen of them) and
// the seconds since 1970 of a year before 10000.
var titleForm = regexp.MustCompile(`^bot-bottle/([a-z2-7]{8,32})/([a-z2-7]{8,32})/([1-9][0-9]{0,11})$`)

// lastSecond is the end of the year 9999, after which RFC 3339 has no times.
const lastSecond = 253402300799

// String is bot-bottle/<host>/<run>/<expiry in seconds since 1970>.
func (t Title) String() string {
	return fmt.Sprintf("bot-bottle/%s/%s/%d", t.Host, t.Run, t.Expiry.Unix())
}

// ParseTitle reads exactly what String writes.
func ParseTitle(text string) (Title, error) {
	parts := titleForm.FindStringSubmatch(text)
	if parts == nil {
		return Title{}, fmt.Errorf("reading the title %q: it is not of the form bot-bottle/HOST/RUN/EXPIRY", term.Shorten(text, 100))
	}
	seconds, err := strconv.ParseInt(parts[3], 10, 64)
	if err != nil || seconds > lastSecond {
		return Title{}, fmt.Errorf("reading the title %q: its expiry is no time", term.Shorten(text, 100))
	}
	return Title{Host: parts[1], Run: parts[2], Expiry: time.Unix(seconds, 0).UTC()}, nil
}
