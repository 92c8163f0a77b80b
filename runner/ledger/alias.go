package ledger

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net/netip"

	"github.com/bot-bottle/action/internal/term"
)

// The last byte of an alias, 127.0.0.N. What is below 16 is left to the host's
// own: 127.0.0.1, and the few (.2, .11, .53) that resolvers and distributions use.
const (
	firstAlias = 16
	lastAlias  = 254
)

// LeaseAlias gives the run the lowest free alias from 127.0.0.16 on, in one
// transaction: no two runs ever have the same one. A run that has an alias is
// given it again.
func (l *Ledger) LeaseAlias(ctx context.Context, run string) (netip.Addr, error) {
	var alias netip.Addr
	err := l.change(ctx, fmt.Sprintf("leasing an alias for run %q", run), func(tx *sql.Tx) error {
		number, err := leasedAlias(ctx, tx, run)
		if errors.Is(err, sql.ErrNoRows) {
			number, err = insertAlias(ctx, tx, run)
		}
		if err != nil {
			return err
		}
		alias = netip.AddrFrom4([4]byte{127, 0, 0, number})
		return one(tx.ExecContext(ctx, `UPDATE runs SET alias = ? WHERE id = ?`, alias.String(), run))
	})
	return alias, err
}

// ReleaseAlias ends the run's lease. It is nil if there is none.
func (l *Ledger) ReleaseAlias(ctx context.Context, run string) error {
	return l.change(ctx, fmt.Sprintf("releasing the alias of run %q", run), func(tx *sql.Tx) error {
		_, err := tx.ExecContext(ctx, `DELETE FROM aliases WHERE run = ?`, run)
		return err
	})
}

func leasedAlias(ctx context.Context, tx *sql.Tx, run string) (number byte, err error) {
	err = tx.QueryRowContext(ctx, `SELECT number FROM aliases WHERE run = ?`, run).Scan(&number)
	return number, err
}

// insertAlias leases the lowest number that is not leased: the first one, or
// the one after a leased one.
func insertAlias(ctx context.Context, tx *sql.Tx, run string) (byte, error) {
	const lowestFree = `
		SELECT min(n) FROM (
			SELECT ?1 AS n
			UNION ALL SELECT number + 1 FROM aliases WHERE number >= ?1
		) WHERE n <= ?2 AND n NOT IN (SELECT number FROM aliases)`
	var number sql.Null[byte]
	if err := tx.QueryRowContext(ctx, lowestFree, firstAlias, lastAlias).Scan(&number); err != nil {
		return 0, err
	}
	if !number.Valid {
		return 0, term.Errorf(term.StageLedger, "", "leasing an alias for run %q: all %d are leased", run, lastAlias-firstAlias+1).
			WithHint("wait for a run to end, or remove what dead ones left: bot-bottle reap")
	}
	_, err := tx.ExecContext(ctx, `INSERT INTO aliases (number, run) VALUES (?, ?)`, number.V, run)
	return number.V, err
}
