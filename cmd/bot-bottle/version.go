package main

import (
	"fmt"
	"runtime"

	"github.com/bot-bottle/action/backends/gvisor/runsc"
	"github.com/spf13/cobra"
)

// versionDocument is what `version --json` prints.
type versionDocument struct {
	Schema  int    `json:"schema"` // 1
	Version string `json:"version"`
	GVisor  string `json:"gvisor"`
	Go      string `json:"go"`
	System  string `json:"system"` // os/architecture
}

func versionCommand() *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use:     "version",
		Short:   "Print the version of bot-bottle and of what it carries",
		Example: "  bot-bottle version\n  bot-bottle version --json",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			d := versionDocument{1, version, runsc.Version, runtime.Version(), runtime.GOOS + "/" + runtime.GOARCH}
			if asJSON {
				return writeJSON(cmd.OutOrStdout(), d)
			}
			_, err := fmt.Fprintf(cmd.OutOrStdout(), "bot-bottle %s (gVisor %s, %s, %s)\n", d.Version, d.GVisor, d.Go, d.System)
			return err
		},
	}
	jsonFlag(cmd, &asJSON)
	return cmd
}

func jsonFlag(cmd *cobra.Command, asJSON *bool) {
	cmd.Flags().BoolVar(asJSON, "json", false, "print one JSON document with a versioned schema")
}
