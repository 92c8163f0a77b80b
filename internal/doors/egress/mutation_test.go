//go:build mutation

package egress

import (
	"context"
	"crypto/tls"
	"net"
	"testing"

	"github.com/bot-bottle/action/internal/mutation"
	"github.com/bot-bottle/action/internal/policy"
)

// Each test switches one defence off and shows that the attack which it holds
// back then succeeds, and that it fails with the defence on.

func switchOff(t *testing.T, p mutation.Point) { t.Setenv("BOT_BOTTLE_MUTATE", string(p)) }

func TestMutationAllowAllLetsAnUnlistedHostPass(t *testing.T) {
	up := serve(t, nil, hello)
	attack := func() int {
		names := &static{names: map[string][]string{"evil.example.org.": {"93.184.216.34"}}}
		w := openWith(t, Options{Policy: bottle(1), Resolver: names, Dial: to(up.address)})
		status, _ := w.raw("GET http://evil.example.org/ HTTP/1.1\r\nHost: evil.example.org\r\n\r\n")
		return status
	}
	if got := attack(); got != 403 {
		t.Errorf("with the defence it got %d", got)
	}
	switchOff(t, mutation.EgressAllowAll)
	if got := attack(); got != 200 {
		t.Errorf("without the defence it got %d", got)
	}
}

func TestMutationAddressesLetsAListedNameLeadToMetadata(t *testing.T) {
	up := serve(t, nil, hello)
	attack := func() int {
		names := &static{names: map[string][]string{"listed.example.com.": {"169.254.169.254"}}}
		w := openWith(t, Options{Policy: bottle(1, policy.Route{Host: "listed.example.com", Port: 80}), Resolver: names, Dial: to(up.address)})
		status, _ := w.raw("GET http://listed.example.com/ HTTP/1.1\r\nHost: listed.example.com\r\n\r\n")
		return status
	}
	if got := attack(); got != 403 {
		t.Errorf("with the defence it got %d", got)
	}
	switchOff(t, mutation.EgressAddresses)
	if got := attack(); got != 200 {
		t.Errorf("without the defence it got %d", got)
	}
}

func TestMutationKeepCredsLetsDataIntoTheAgentsOwnAccount(t *testing.T) {
	up := serve(t, &tls.Config{}, hello)
	w := open(t, up.route("api.example.com"))
	attack := func() (string, string) {
		w.get("https://api.example.com/?key=mine", "Authorization: mine")
		seen := lastOf(up.requests())
		return seen.Header.Get("Authorization"), seen.URL.RawQuery
	}
	if field, query := attack(); field != "" || query != "" {
		t.Errorf("with the defence %q and %q arrived", field, query)
	}
	switchOff(t, mutation.EgressKeepCreds)
	if field, query := attack(); field != "mine" || query != "key=mine" {
		t.Errorf("without the defence %q and %q arrived", field, query)
	}
}

// to stands in for the internet: it dials address whatever is asked for.
func to(address string) DialFunc {
	return func(ctx context.Context, network, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, network, address)
	}
}

func TestMutationNoBudgetLetsABottleAskForEver(t *testing.T) {
	up := serve(t, nil, hello)
	attack := func() (last int) {
		w := openWith(t, Options{Policy: limited(policy.Limits{Requests: 1}, up.route("api.example.com", plain))})
		for range 2 {
			last, _ = w.get("http://api.example.com/")
		}
		return last
	}
	if got := attack(); got != 429 {
		t.Errorf("with the defence it got %d", got)
	}
	switchOff(t, mutation.EgressNoBudget)
	if got := attack(); got != 200 {
		t.Errorf("without the defence it got %d", got)
	}
}
