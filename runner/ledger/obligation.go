package ledger

import (
	"context"
	"database/sql"
	"encoding/json"
	"fmt"
	"time"
)

// MaxArgs bounds the arguments of an obligation, in bytes of JSON. They are a
// few ids; whatever is larger is not.
const MaxArgs = 4 << 10

// Holding says how far the effect of an obligation got.
type Holding string

// The holdings.
const (
	Intended Holding = "intended" // the effect may or may not have happened, or may still
	Held     Holding = "held"     // the effect has happened
)

// Obligation is one thing that must be undone. Args are typed ids, never a path
// or a command: they are read back as data that anybody could have written.
type Obligation struct {
	Seq     int64 // grows with each obligation; what is undone first is the highest
	Run     string
	Kind    string
	Version int // of the form of Args
	Args    json.RawMessage
	Holding Holding
	Created time.Time     // for people only
	LandsIn time.Duration // from the intent on; see MayLand

	boot     string        // boot of the host in which it was intended
	intended time.Duration // boot clock at the intent
}

// Intend writes an obligation before its effect; it is durable when Intend
// returns. From o it takes Run, Kind, Version, Args and LandsIn.
func (l *Ledger) Intend(ctx context.Context, o Obligation) (Obligation, error) {
	what := fmt.Sprintf("intending a %s for run %q", o.Kind, o.Run)
	if len(o.Args) > MaxArgs {
		return o, l.explain(what, fmt.Errorf("its arguments have %d bytes, more than %d", len(o.Args), MaxArgs))
	}
	var err error
	if o.boot, o.intended, err = l.clock.Boot(); err != nil {
		return o, l.explain(what, err)
	}
	o.Holding, o.Created = Intended, l.clock.Now()
	err = l.change(ctx, what, func(tx *sql.Tx) error {
		result, err := tx.ExecContext(ctx, `
			INSERT INTO obligations (run, kind, version, args, state, created, boot, intended, lands_in)
			VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)`,
			o.Run, o.Kind, o.Version, string(o.Args), o.Holding, o.Created.UnixMicro(), o.boot, o.intended, o.LandsIn)
		if err != nil {
			return err
		}
		o.Seq, err = result.LastInsertId()
		return err
	})
	return o, err
}

// Hold records that the effect of o has happened.
func (l *Ledger) Hold(ctx context.Context, o Obligation) error {
	what := fmt.Sprintf("holding the %s of run %q", o.Kind, o.Run)
	return l.change(ctx, what, func(tx *sql.Tx) error {
		_, err := tx.ExecContext(ctx, `UPDATE obligations SET state = 'held' WHERE seq = ?`, o.Seq)
		return err
	})
}

// Drop removes an obligation whose effect was seen absent. It is nil if it is
// gone already.
func (l *Ledger) Drop(ctx context.Context, o Obligation) error {
	what := fmt.Sprintf("dropping the %s of run %q", o.Kind, o.Run)
	return l.change(ctx, what, func(tx *sql.Tx) error {
		_, err := tx.ExecContext(ctx, `DELETE FROM obligations WHERE seq = ?`, o.Seq)
		return err
	})
}

// Obligations lists what is left to undo of a run, newest first.
func (l *Ledger) Obligations(ctx context.Context, run string) ([]Obligation, error) {
	all, err := l.selectObligations(ctx, run)
	return all, l.explain(fmt.Sprintf("listing the obligations of run %q", run), err)
}

func (l *Ledger) selectObligations(ctx context.Context, run string) ([]Obligation, error) {
	rows, err := l.db.QueryContext(ctx, `
		SELECT seq, run, kind, version, args, state, created, boot, intended, lands_in
		FROM obligations WHERE run = ? ORDER BY seq DESC`, run)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var all []Obligation
	for rows.Next() {
		var o Obligation
		var created int64
		err := rows.Scan(&o.Seq, &o.Run, &o.Kind, &o.Version, (*[]byte)(&o.Args), &o.Holding, &created, &o.boot, &o.intended, &o.LandsIn)
		if err != nil {
			return nil, err
		}
		o.Created = time.UnixMicro(created)
		all = append(all, o)
	}
	return all, rows.Err()
}

// MayLand gives how long the effect of an intended obligation may still come
// about although whoever began it is dead: as long as that is more than zero,
// having seen it absent proves nothing.
//
// It is measured on the boot clock (see Clock). After a reboot the count starts
// anew with the boot: the intent was written before it, so by then at least as
// much time has passed. The answer may be too long, never too short.
func (l *Ledger) MayLand(o Obligation) (time.Duration, error) {
	if o.Holding == Held || o.LandsIn == 0 {
		return 0, nil
	}
	boot, now, err := l.clock.Boot()
	if err != nil {
		return 0, l.explain(fmt.Sprintf("judging the %s of run %q", o.Kind, o.Run), err)
	}
	passed := now
	if boot == o.boot {
		passed = now - o.intended
	}
	return max(0, o.LandsIn-passed), nil
}
