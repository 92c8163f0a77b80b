// Mutate switches one defence off after another, runs the cases and tests that have
// to notice, and prints who did. It fails where one of them didn't. Run it from the
// root of the repository.
package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path"
	"slices"
	"strings"

	"github.com/bot-bottle/action/internal/mutation/defences"
)

func main() {
	results, err := run(asked())
	if err != nil {
		fmt.Fprintln(os.Stderr, "error:", err)
		os.Exit(1)
	}
	if !tell(results) {
		os.Exit(1)
	}
}

// casesTest makes the cases of each defence, in a subtest of its name.
const casesTest = "e2e TestMutationDefences"

// asked lists, by folder, the tests that have to notice.
func asked() map[string][]string {
	all := map[string][]string{}
	add := func(test string) {
		dir, name, _ := strings.Cut(test, " ")
		if !slices.Contains(all[dir], name) {
			all[dir] = append(all[dir], name)
		}
	}
	add(casesTest)
	for _, d := range defences.Table() {
		for _, test := range d.Tests {
			add(test)
		}
	}
	return all
}

// run runs them, and gives how each ended: "pass", "fail", "skip".
func run(tests map[string][]string) (map[string]string, error) {
	ended := map[string]string{}
	for dir, names := range tests {
		cmd := exec.Command("go", "test", "-tags", "mutation", "-count", "1", "-timeout", "20m", "-json", "-run", "^("+strings.Join(names, "|")+")$", "./"+dir)
		cmd.Env, cmd.Stderr = append(os.Environ(), "CGO_ENABLED=0"), os.Stderr
		out, err := cmd.StdoutPipe()
		if err != nil {
			return nil, err
		}
		if err := cmd.Start(); err != nil {
			return nil, fmt.Errorf("running the tests of %s: %w", dir, err)
		}
		for lines := bufio.NewScanner(out); lines.Scan(); {
			var event struct{ Action, Test, Output string }
			if json.Unmarshal(lines.Bytes(), &event) != nil || event.Test == "" {
				continue
			}
			switch event.Action {
			case "pass", "fail", "skip":
				ended[dir+" "+event.Test] = event.Action
			case "output":
				if !strings.HasPrefix(event.Output, "===") && !strings.HasPrefix(strings.TrimSpace(event.Output), "---") {
					fmt.Fprint(os.Stderr, event.Output)
				}
			}
		}
		cmd.Wait() // how each test ended says more
	}
	return ended, nil
}

// tell prints a line for each defence, and whether everything noticed.
func tell(ended map[string]string) (all bool) {
	all = true
	for _, d := range defences.Table() {
		var missed, who []string
		check := func(test, name string) {
			who = append(who, name)
			if ended[test] != "pass" {
				missed = append(missed, name)
			}
		}
		if len(d.Cases) > 0 {
			check(casesTest+"/"+strings.ReplaceAll(d.Name, " ", "_"), strings.Join(d.Cases, " "))
		}
		for _, t := range d.Tests {
			check(t, path.Base(t))
		}
		verdict := "noticed"
		if len(missed) > 0 {
			verdict, all = "MISSED by "+strings.Join(missed, ", "), false
		}
		fmt.Printf("%-70s %s (%s)\n", d.Name, verdict, strings.Join(who, ", "))
	}
	return all
}
