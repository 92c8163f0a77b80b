package main

import (
	"context"
	"crypto/sha256"
	"database/sql"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/bot-bottle/action/internal/smolvmtest"
	_ "modernc.org/sqlite" // the driver
)

// record is a row, by smolvm's names (VmRecord).
type record struct {
	Name           string           `json:"name"`
	CreatedAt      uint64           `json:"created_at"`
	State          string           `json:"state"`
	PID            *int             `json:"pid"`
	PIDStart       *uint64          `json:"pid_start_time"`
	CPUs           int              `json:"cpus"`
	Memory         int64            `json:"mem"`
	Mounts         []mount          `json:"mounts"`
	Ports          [][2]int         `json:"ports"`
	Sockets        []socket         `json:"published_sockets"`
	Network        bool             `json:"network"`
	AllowedCIDRs   []string         `json:"allowed_cidrs"`
	NetworkBackend *string          `json:"network_backend,omitempty"`
	Env            [][2]string      `json:"env"`
	Image          *string          `json:"image"`
	Entrypoint     []string         `json:"entrypoint"`
	Cmd            []string         `json:"cmd"`
	StorageGB      *int64           `json:"storage_gb"`
	OverlayGB      *int64           `json:"overlay_gb"`
	SSHAgent       bool             `json:"ssh_agent"`
	DockerSocket   bool             `json:"docker_socket"`
	CUDA           bool             `json:"cuda"`
	Ephemeral      bool             `json:"ephemeral"`
	Source         *string          `json:"source_smolmachine,omitempty"`
	Restart        map[string]any   `json:"restart"`
	Init           []string         `json:"init"`
	InitCompleted  bool             `json:"init_completed"`
	RemoteVolumes  []map[string]any `json:"remote_volumes"`
}

// mount is a tuple of host, guest and read-only, as serde writes it.
type mount struct {
	Host, Guest string
	ReadOnly    bool
}

func (m mount) MarshalJSON() ([]byte, error) { return json.Marshal([]any{m.Host, m.Guest, m.ReadOnly}) }

func (m *mount) UnmarshalJSON(b []byte) error {
	return json.Unmarshal(b, &[]any{&m.Host, &m.Guest, &m.ReadOnly})
}

type socket struct {
	Direction string `json:"direction"`
	Guest     string `json:"guest_path"`
	Host      string `json:"host_path,omitempty"`
}

// database opens smolvm's state and makes what is missing of it.
func (w *world) database() (*sql.DB, error) {
	dir := filepath.Join(w.home, ".local/share/smolvm/server")
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, err
	}
	db, err := sql.Open("sqlite", "file:"+filepath.Join(dir, "smolvm.db")+"?_txlock=immediate&_pragma=busy_timeout(15000)&_pragma=journal_mode(WAL)&_pragma=synchronous(NORMAL)")
	if err != nil {
		return nil, err
	}
	db.SetMaxOpenConns(1)
	for _, s := range []string{
		`CREATE TABLE IF NOT EXISTS vms (name TEXT PRIMARY KEY NOT NULL, data BLOB NOT NULL)`,
		`CREATE TABLE IF NOT EXISTS config (key TEXT PRIMARY KEY NOT NULL, value TEXT NOT NULL)`,
		`CREATE TABLE IF NOT EXISTS vm_create_reservations (name TEXT PRIMARY KEY NOT NULL, owner_token TEXT NOT NULL, owner_pid INTEGER NOT NULL, created_at INTEGER NOT NULL)`,
	} {
		if _, err := db.Exec(s); err != nil {
			db.Close()
			return nil, err
		}
	}
	return db, nil
}

// within runs use in a transaction that holds the write lock.
func (w *world) within(use func(*sql.Tx) error) error {
	db, err := w.database()
	if err != nil {
		return err
	}
	defer db.Close()
	tx, err := db.BeginTx(context.Background(), nil)
	if err != nil {
		return err
	}
	defer tx.Rollback()
	if err := use(tx); err != nil {
		return err
	}
	return tx.Commit()
}

var errMissing = errors.New("not found")

func (w *world) load(name string) (r record, err error) {
	err = w.within(func(tx *sql.Tx) error {
		var data []byte
		err := tx.QueryRow(`SELECT data FROM vms WHERE name = ?`, name).Scan(&data)
		if errors.Is(err, sql.ErrNoRows) {
			return fmt.Errorf("machine '%s' %w", name, errMissing)
		}
		if err != nil {
			return err
		}
		return json.Unmarshal(data, &r)
	})
	return r, err
}

// save writes a row; a new one is refused where there is one, in the releases that
// look.
func (w *world) save(r record, isNew bool) error {
	data, err := json.Marshal(r)
	if err != nil {
		return err
	}
	var value any = data // a BLOB
	if w.config.Does(smolvmtest.RowAsText) {
		value = string(data)
	}
	return w.within(func(tx *sql.Tx) error {
		var n int
		if err := tx.QueryRow(`SELECT count(*) FROM vms WHERE name = ?`, r.Name).Scan(&n); err != nil {
			return err
		}
		if isNew && n > 0 {
			if w.release.Reserves {
				return fmt.Errorf("machine '%s' already exists or is being created", r.Name)
			}
			return fmt.Errorf("machine '%s' already exists", r.Name)
		}
		_, err := tx.Exec(`INSERT INTO vms VALUES (?, ?) ON CONFLICT(name) DO UPDATE SET data = excluded.data`, r.Name, value)
		return err
	})
}

func (w *world) remove(name string) error {
	return w.within(func(tx *sql.Tx) error {
		_, err := tx.Exec(`DELETE FROM vms WHERE name = ?`, name)
		return err
	})
}

// folder is the machine's.
func (w *world) folder(name string) string {
	sum := sha256.Sum256([]byte(name))
	return filepath.Join(w.home, ".cache/smolvm/vms", hex.EncodeToString(sum[:])[:16])
}
