package main

import (
	"fmt"
	"io"
	"os"
	"path/filepath"

	"github.com/bot-bottle/action/internal/manifest"
	"github.com/bot-bottle/action/internal/term"
	"github.com/bot-bottle/action/runner"
	"github.com/spf13/cobra"
)

// validateDocument is what `validate --json` prints.
type validateDocument struct {
	Schema int         `json:"schema"` // 1
	Files  []string    `json:"files"`
	Faults []faultLine `json:"faults"`
}

type faultLine struct {
	File    string `json:"file"`
	Line    int    `json:"line,omitempty"`
	Key     string `json:"key,omitempty"`
	Message string `json:"message"`
	Hint    string `json:"hint,omitempty"`
}

func validateCommand() *cobra.Command {
	var bottlesDir string
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "validate [PATH...]",
		Short: "List everything that is wrong in bottles and agents",
		Long: `List everything that is wrong in bottles and agents, with file, line and key. A
PATH is a file, or a folder that is called bottles or agents or has such folders;
without one the user's and the host's own folders are checked. A file in a folder
called agents is an agent, any other a bottle. Nothing of the host that they
refer to (variables, tokens) is read. The exit code is 2 if anything is wrong.`,
		Example: "  bot-bottle validate\n  bot-bottle validate .bot-bottle/agents --json",
		RunE: func(cmd *cobra.Command, paths []string) error {
			dirs, err := bottleFolders(bottlesDir, os.Getenv)
			if err != nil {
				return err
			}
			if len(paths) == 0 {
				paths = existing(append(dirs, agentFolders("", os.Getenv)...))
			}
			files, faults, err := manifest.Validate(paths, dirs)
			if err != nil {
				return err
			}
			return tellFaults(cmd.OutOrStdout(), files, faults, asJSON)
		},
	}
	cmd.Flags().StringVar(&bottlesDir, "bottles-dir", "", "folder with the bottles that are referred to (default: as for run)")
	jsonFlag(cmd, &asJSON)
	return cmd
}

// existing leaves out the usual folders that a host doesn't have, or that are
// empty.
func existing(dirs []string) []string {
	var list []string
	for _, dir := range dirs {
		if found, _ := filepath.Glob(filepath.Join(dir, "*.md")); len(found) > 0 {
			list = append(list, dir)
		}
	}
	return list
}

func tellFaults(out io.Writer, files []string, faults []manifest.Fault, asJSON bool) error {
	if asJSON {
		doc := validateDocument{Schema: 1, Files: append([]string{}, files...), Faults: []faultLine{}}
		for _, f := range faults {
			doc.Faults = append(doc.Faults, faultLine{f.Path, f.Line, f.Key, f.Err.Error(), f.Hint})
		}
		if err := writeJSON(out, doc); err != nil {
			return err
		}
	}
	if len(faults) > 0 {
		return &exitError{code: runner.ExitUsage, err: manifest.AsError(faults)}
	}
	if asJSON {
		return nil
	}
	if len(files) == 0 {
		return term.Errorf(term.StageUsage, "", "looking for files: there is neither a bottle nor an agent").
			WithHint("write a first one with `bot-bottle init`, or name a file or folder")
	}
	_, err := fmt.Fprintf(out, "files: %d, faults: 0\n", len(files))
	return err
}
