package confine

import (
	"encoding/json"
	"fmt"
	"os"

	"github.com/bot-bottle/action/internal/atomicfile"
)

// WriteRecord puts r into the file at path in one step: a reader sees all of it or
// nothing. After a power loss the processes are gone, but a record that is there in
// part could not be read, and what waits for it would be owed forever.
func WriteRecord(path string, r Record) error {
	data, err := json.Marshal(r)
	if err == nil {
		err = atomicfile.Write(path, data, 0o600)
	}
	if err != nil {
		return fmt.Errorf("recording processes: %w", err)
	}
	return nil
}

// ReadRecord reads what WriteRecord wrote; fs.ErrNotExist, wrapped, where it never
// did.
func ReadRecord(path string) (Record, error) {
	var r Record
	data, err := os.ReadFile(path)
	if err == nil {
		err = json.Unmarshal(data, &r)
	}
	if err != nil {
		return Record{}, fmt.Errorf("reading the record of processes %q: %w", path, err)
	}
	return r, nil
}
