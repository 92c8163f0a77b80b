package probe

import (
	"encoding/json"
	"fmt"
	"io"
	"time"

	"github.com/bot-bottle/action/internal/doors/decision"
)

// Outcome is what became of a try.
type Outcome string

// The outcomes. There are no others.
const (
	Refused Outcome = "refused" // an error came before the deadline: Errno
	Silent  Outcome = "silent"  // neither an error nor an answer came before the deadline
	Reached Outcome = "reached" // connected, answered, opened, or sent where sending is all
	Broken  Outcome = "broken"  // the try could not be made: Detail
)

// Result is one try's outcome, in the guest's words.
type Result struct {
	Try     Try           `json:"try"`
	Outcome Outcome       `json:"outcome"`
	Errno   string        `json:"errno,omitempty"` // its name, as in errno(3)
	Detail  string        `json:"detail,omitempty"`
	Elapsed time.Duration `json:"elapsed_ns"`
}

// Answer is what a door said.
type Answer struct {
	Door    decision.Door `json:"door"`
	Status  int           `json:"status,omitempty"` // HTTP; 0 if there was none
	Error   string        `json:"error,omitempty"`
	Elapsed time.Duration `json:"elapsed_ns"`
}

// Interface is a network interface that the guest has.
type Interface struct {
	Name      string   `json:"name"`
	Up        bool     `json:"up"`
	Loopback  bool     `json:"loopback"`
	Ethernet  bool     `json:"ethernet"` // it has a 48-bit address; tunnels that are there by default have none
	Addresses []string `json:"addresses,omitempty"`
}

// Listing is what a folder holds.
type Listing struct {
	Names []string `json:"names,omitempty"` // sorted
	Errno string   `json:"errno,omitempty"` // why it could not be read
}

// Results is what one user of the guest found.
type Results struct {
	UID             int           `json:"uid"` // effective, in the guest
	Elapsed         time.Duration `json:"elapsed_ns"`
	Tries           []Result      `json:"tries"` // in the plan's order
	Doors           []Answer      `json:"doors,omitempty"`
	Interfaces      []Interface   `json:"interfaces"`
	InterfacesError string        `json:"interfaces_error,omitempty"`
	Listing         Listing       `json:"listing"`
	Error           string        `json:"error,omitempty"` // the probe itself could not work
}

// maxMessage bounds a plan and its results. A plan of two hundred tries takes
// about a tenth of it.
const maxMessage = 1 << 20

// Decode reads what a probe wrote. More than a megabyte, or anything after the
// results, is an error.
func Decode(r io.Reader) (Results, error) {
	var results Results
	if err := decode(r, &results); err != nil {
		return Results{}, fmt.Errorf("reading the probe's results: %w", err)
	}
	return results, nil
}

func decode(r io.Reader, into any) error {
	body, err := io.ReadAll(io.LimitReader(r, maxMessage+1))
	if err != nil {
		return err
	}
	if len(body) > maxMessage {
		return fmt.Errorf("more than %d bytes", maxMessage)
	}
	return json.Unmarshal(body, into)
}
