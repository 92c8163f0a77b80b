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

// holdsBack switches one defence off and shows that the attack which it holds
// back then succeeds, and that it fails with the defence on.
func holdsBack[T comparable](t *testing.T, p mutation.Point, attack func() T, held, succeeded T) {
	t.Helper()
	if got := attack(); got != held {
		t.Errorf("with the defence it got %v", got)
	}
	t.Setenv("BOT_BOTTLE_MUTATE", string(p))
	if got := attack(); got != succeeded {
		t.Errorf("without the defence it got %v", got)
	}
}

func TestMutationAllowAllLetsAnUnlistedHostPass(t *testing.T) {
	up := serve(t, nil, hello)
	attack := func() int {
		names := &static{names: map[string][]string{"evil.example.org.": {"93.184.216.34"}}}
		w := openWith(t, Options{Policy: bottle(1), Resolver: names, Dial: to(up.address)})
		status, _ := w.raw("GET http://evil.example.org/ HTTP/1.1\r\nHost: evil.example.org\r\n\r\n")
		return status
	}
	holdsBack(t, mutation.EgressAllowAll, attack, 403, 200)
}

func TestMutationAddressesLetsAListedNameLeadToMetadata(t *testing.T) {
	up := serve(t, nil, hello)
	attack := func() int {
		names := &static{names: map[string][]string{"listed.example.com.": {"169.254.169.254"}}}
		w := openWith(t, Options{Policy: bottle(1, policy.Route{Host: "listed.example.com", Port: 80}), Resolver: names, Dial: to(up.address)})
		status, _ := w.raw("GET http://listed.example.com/ HTTP/1.1\r\nHost: listed.example.com\r\n\r\n")
		return status
	}
	holdsBack(t, mutation.EgressAddresses, attack, 403, 200)
}

func TestMutationKeepCredsLetsDataIntoTheAgentsOwnAccount(t *testing.T) {
	up := serve(t, &tls.Config{}, hello)
	w := open(t, up.route("api.example.com"))
	attack := func() [2]string {
		w.get("https://api.example.com/?key=mine", "Authorization: mine")
		seen := lastOf(up.requests())
		return [2]string{seen.Header.Get("Authorization"), seen.URL.RawQuery}
	}
	holdsBack(t, mutation.EgressKeepCreds, attack, [2]string{}, [2]string{"mine", "key=mine"})
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
	holdsBack(t, mutation.EgressNoBudget, attack, 429, 200)
}

func TestMutationGitPushLetsAPushPastTheGate(t *testing.T) {
	up := serve(t, &tls.Config{}, hello)
	w := open(t, up.route("forge.example.com"))
	attack := func() int {
		status, _ := w.get("https://forge.example.com/ada/widgets.git/info/refs?service=git-receive-pack")
		return status
	}
	holdsBack(t, mutation.EgressGitPush, attack, 403, 200)
}
