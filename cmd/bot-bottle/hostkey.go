package main

import (
	"fmt"

	"github.com/bot-bottle/action/internal/hostkey"
	"github.com/spf13/cobra"
)

// hostkeyDocument is what `hostkey --json` prints.
type hostkeyDocument struct {
	Schema int           `json:"schema"` // 1
	Keys   []hostkey.Key `json:"keys"`
}

func hostkeyCommand() *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "hostkey HOST[:PORT]",
		Short: "Print the host keys of an SSH server, to pin them in a bottle",
		Long: `Print the host keys of an SSH server: the lines of known_hosts, and the
fingerprints. What follows the name in a line is what a bottle's host_key takes.
The keys come over the network and prove nothing by themselves: compare a
fingerprint with what the server's owner publishes, by another way, before a
bottle trusts it.`,
		Example: "  bot-bottle hostkey git.example.com\n  bot-bottle hostkey git.example.com:2222",
		Args:    exactly("HOST[:PORT]"),
		RunE: func(cmd *cobra.Command, args []string) error {
			keys, err := hostkey.Scan(cmd.Context(), args[0])
			if err != nil {
				return err
			}
			if asJSON {
				return writeJSON(cmd.OutOrStdout(), hostkeyDocument{1, keys})
			}
			for _, k := range keys {
				if _, err := fmt.Fprintln(cmd.OutOrStdout(), k.Line); err != nil {
					return err
				}
			}
			for _, k := range keys {
				fmt.Fprintf(cmd.ErrOrStderr(), "%s %s\n", k.Fingerprint, k.Type)
			}
			fmt.Fprintln(cmd.ErrOrStderr(), "hint: compare a fingerprint with what the server's owner publishes, by another way, before you trust it")
			return nil
		},
	}
	jsonFlag(cmd, &asJSON)
	return cmd
}
