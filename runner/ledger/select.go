package ledger

import (
	"context"
	"database/sql"
	"fmt"
	"net/netip"
	"time"

	"github.com/bot-bottle/action/internal/term"
)

// OpenRuns lists the runs that are live or have not been settled, newest first.
func (l *Ledger) OpenRuns(ctx context.Context) ([]Run, error) {
	runs, err := selectRuns(ctx, l.db, `WHERE state = 'open'`)
	return runs, l.explain("listing open runs", err)
}

// Runs lists all runs, newest first.
func (l *Ledger) Runs(ctx context.Context) ([]Run, error) {
	runs, err := selectRuns(ctx, l.db, ``)
	return runs, l.explain("listing runs", err)
}

// Run gives the run with this id, or ErrUnknownRun, wrapped.
func (l *Ledger) Run(ctx context.Context, id string) (Run, error) {
	return l.first(ctx, id, `WHERE id = ?`, id)
}

// Find gives the run that a person means: the one with this id, else the
// newest with this name, else ErrUnknownRun, wrapped.
func (l *Ledger) Find(ctx context.Context, idOrName string) (Run, error) {
	const where = `WHERE seq = coalesce(
		(SELECT seq FROM runs WHERE id = ?1),
		(SELECT max(seq) FROM runs WHERE name = ?1))`
	return l.first(ctx, idOrName, where, idOrName)
}

func (l *Ledger) first(ctx context.Context, wanted, where string, args ...any) (Run, error) {
	runs, err := selectRuns(ctx, l.db, where, args...)
	if err != nil {
		return Run{}, l.explain(fmt.Sprintf("looking for run %q", wanted), err)
	}
	if len(runs) == 0 {
		return Run{}, term.Errorf(term.StageUsage, "", "looking for run %q: %w", wanted, ErrUnknownRun).
			WithHint("list the runs that this state folder knows: bot-bottle ls --all")
	}
	return runs[0], nil
}

// querier is what a database and a transaction have in common.
type querier interface {
	QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error)
}

// selectRuns reads the runs that where, a constant of this package, selects.
func selectRuns(ctx context.Context, q querier, where string, args ...any) ([]Run, error) {
	rows, err := q.QueryContext(ctx, `
		SELECT id, name, state, created, finished, bottle, agent, backend, isolation, workspace,
		       alias, exit_code, reason, patch, files, added, deleted, report
		FROM runs `+where+` ORDER BY seq DESC`, args...)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var runs []Run
	for rows.Next() {
		r, err := scanRun(rows)
		if err != nil {
			return nil, err
		}
		runs = append(runs, r)
	}
	return runs, rows.Err()
}

func scanRun(rows *sql.Rows) (Run, error) {
	var (
		r                 Run
		o                 Outcome
		created, finished int64
		alias             string
		exit              sql.NullInt64
	)
	err := rows.Scan(&r.ID, &r.Name, &r.State, &created, &finished, &r.Bottle, &r.Agent, &r.Backend,
		&r.Isolation, &r.Workspace, &alias, &exit, &o.Reason, &o.Patch, &o.Files, &o.Added, &o.Deleted, &r.Report)
	if err != nil {
		return Run{}, err
	}
	r.Created = time.UnixMicro(created)
	if exit.Valid {
		o.ExitCode = int(exit.Int64)
		r.Finished, r.Outcome = time.UnixMicro(finished), &o
	}
	if alias != "" {
		r.Alias, err = netip.ParseAddr(alias)
	}
	return r, err
}
