package guestroot

import (
	"bufio"
	"os"
	"strings"
)

// boundSockets gives the sockets below any of the bound sources that somebody
// listens on, as /proc/net/unix (unix(7)) names them.
func boundSockets(table *bufio.Scanner, sources []string) []string {
	var found []string
	for table.Scan() {
		fields := strings.Fields(table.Text())
		path := fields[len(fields)-1]
		for _, s := range sources {
			if strings.HasPrefix(path, strings.TrimSuffix(s, "/")+"/") {
				found = append(found, path)
			}
		}
	}
	return found
}

// ListeningBelow gives a socket below something that entries bind and that
// somebody on this host listens on, or "". It knows of those in our own network
// namespace.
func ListeningBelow(entries []Entry) string {
	var sources []string
	for _, e := range entries {
		if e.Kind == KindBind {
			sources = append(sources, e.Source)
		}
	}
	table, err := os.Open("/proc/net/unix")
	if err != nil {
		return ""
	}
	defer table.Close()
	if found := boundSockets(bufio.NewScanner(table), sources); len(found) > 0 {
		return found[0]
	}
	return ""
}
