package confine

import (
	"encoding/json"
	"fmt"
	"os"
)

// WriteRecord puts r into the file at path in one step: a reader sees all of it or
// nothing. After a power loss it is of no use, so that it isn't synced.
func WriteRecord(path string, r Record) error {
	data, err := json.Marshal(r)
	if err == nil {
		err = os.WriteFile(path+".new", data, 0o600)
	}
	if err == nil {
		err = os.Rename(path+".new", path)
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
