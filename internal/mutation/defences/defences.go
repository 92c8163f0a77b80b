// Package defences lists what a test build can switch off, and who notices. It is
// for tests and for tools/mutate; no program that users get imports it.
package defences

import (
	"fmt"
	"strings"

	"github.com/bot-bottle/action/internal/mutation"
)

// Defence is one thing that holds an attack, or a few that hold the same one
// behind each other and so are switched off together.
type Defence struct {
	Name   string
	Points []mutation.Point
	// Cases of the escape suite that turn red without it. TestMutationDefences of
	// e2e makes them.
	Cases []string
	// Tests that show the attack succeed without it: "folder TestMutation…".
	Tests []string
}

// Table gives every defence, in the order of the doors, the guest and the host.
func Table() []Defence {
	p := func(points ...mutation.Point) []mutation.Point { return points }
	e2e := func(names ...string) (tests []string) {
		for _, n := range names {
			tests = append(tests, "e2e TestMutation"+n)
		}
		return tests
	}
	return []Defence{
		{"the list of routes, and the check of addresses", p(mutation.EgressAllowAll, mutation.EgressAddresses), []string{"H01", "H03", "H07", "D02", "D06", "H26"}, e2e("EgressAllowAll")},
		{"the list of routes", p(mutation.EgressAllowAll), nil, []string{"internal/doors/egress TestMutationAllowAllLetsAnUnlistedHostPass"}},
		{"the check of addresses after resolving", p(mutation.EgressAddresses), []string{"D10"}, []string{"internal/doors/egress TestMutationAddressesLetsAListedNameLeadToMetadata"}},
		{"hosts are compared whole", p(mutation.EgressLookalike), []string{"H07"}, nil},
		{"no name is resolved before the decision", p(mutation.EgressResolve), []string{"D02"}, nil},
		{"one request names one host", p(mutation.EgressAnyHost), []string{"H12"}, nil},
		{"the handshake is for the tunnel's host", p(mutation.EgressAnyName), []string{"H09"}, nil},
		{"the upstream's certificate", p(mutation.EgressAnyCert), []string{"H25"}, nil},
		{"methods and paths of a route", p(mutation.EgressAnyPath), []string{"H18"}, nil},
		{"the agent's own credentials are dropped", p(mutation.EgressKeepCreds), []string{"H19"}, []string{"internal/doors/egress TestMutationKeepCredsLetsDataIntoTheAgentsOwnAccount"}},
		{"the judge of requests to a model", p(mutation.EgressModelAny), []string{"H29"}, []string{"internal/doors/egress TestMutationModelAnyLetsTheModelsProviderFetchForTheAgent"}},
		{"no push goes past the git-gate", p(mutation.EgressGitPush), []string{"G01"}, []string{"internal/doors/egress TestMutationGitPushLetsAPushPastTheGate"}},
		{"the budget of requests and bytes", p(mutation.EgressNoBudget), nil, []string{"internal/doors/egress TestMutationNoBudgetLetsABottleAskForEver"}},
		{"the run's own secrets in what leaves", p(mutation.DLPKnown), []string{"H27", "X01"}, []string{"internal/doors/dlp TestMutationKnownLetsASecretOfTheRunOut"}},
		{"what gitleaks takes for a secret in what leaves", p(mutation.DLPPatterns), nil, []string{"internal/doors/dlp TestMutationPatternsLetsWhatLooksLikeASecretOut"}},
		{"what in an answer speaks to an agent", p(mutation.DLPAnswers), nil, []string{"internal/doors/dlp TestMutationAnswersLetsAnInjectionIn"}},
		{"the door's own tokens in an answer", p(mutation.DLPTokens), nil, []string{"internal/doors/dlp TestMutationTokensLetsATokenIn"}},
		{"the refs that may be pushed", p(mutation.GitAnyRef), []string{"G04"}, []string{"internal/doors/gitgate TestMutationAnyRefLetsAPushChangeMain"}},
		{"the scan of what is pushed", p(mutation.GitScan), []string{"G05"}, []string{"internal/doors/gitgate TestMutationScanLetsASecretOut"}},
		{"what a forge or the host would run is not pushed", p(mutation.GitAnyPath), []string{"G12"}, []string{"internal/doors/gitgate TestMutationAnyPathLetsAWorkflowOut"}},
		{"what a workflow would run on the host is not pushed", p(mutation.GitHostWorkflow), []string{"G13"}, []string{"internal/doors/gitgate TestMutationHostWorkflowLetsABuildFileOntoTheHost"}},
		{"calls to a model count against its limits", p(mutation.EgressNoMeter), nil, []string{"internal/doors/egress TestMutationNoMeterLetsABottleAskAModelForEver"}},
		{"a call whose usage nobody told is not free", p(mutation.EgressBelieve), nil, []string{"internal/doors/egress TestMutationBelieveMakesACallWithoutUsageFree"}},
		{"a limit of cost needs a price", p(mutation.EgressUnpriced), nil, []string{"internal/doors/egress TestMutationUnpricedLetsAnUnknownModelCostNothing"}},
		{"calls under way have tokens set aside", p(mutation.EgressNoAside), nil, []string{"internal/doors/egress TestMutationNoAsideLetsCallsAtOnceEachPassTheLimit"}},
		{"the scan of what others read", p(mutation.ResultsUnscanned), nil, []string{"action TestMutationResultsUnscannedLetsASecretIntoTheThread", "runner TestMutationResultsUnscannedLetsASecretIntoTheLog"}},
		{"the user of each connection to a door", p(mutation.DoorAnyUser), nil, []string{"internal/doors TestMutationDoorAnyUserLetsAnybodyConnect"}},
		{"the routes end with the agent", p(mutation.RoutesStayOpen), nil, e2e("RoutesStayOpen")},
		{"no network in the guest, what it was given is compared, and the proof", p(mutation.GuestNetwork, mutation.GivenUnread, mutation.ProofNegative),
			[]string{"N03", "N04", "N08", "N12", "N13", "N14", "N19", "D03", "D04", "D07", "F12"},
			append(e2e("GuestWithANetworkIsNotStarted", "WithoutTheNegativeProofTheNetworkIsThere"), "e2e/smolmachines TestMutationTheSuiteSeesTheNetworkOfAMachine")},
		{"the positive part of the proof", p(mutation.ProofPositive), nil, e2e("WithoutThePositiveProofADeafDoorIsNotSeen")},
		{"the filter of a container's system calls", p(mutation.GuestSyscalls), nil, e2e("ContainerWithoutTheFilterMakesANamespace")},
		{"nothing but the doors is mounted, what it was given is compared, and the proof", p(mutation.GuestSocket, mutation.GivenUnread, mutation.ProofNegative), []string{"F12"}, e2e("OneMoreSocketIsSeen")},
		{"the limit of processes", p(mutation.LimitPIDs), []string{"F07"}, nil},
		{"the limit of disk", p(mutation.LimitDisk), []string{"F07"}, nil},
		{"the limit of memory", p(mutation.LimitMemory), []string{"F07m"}, nil},
		{"the sidecar's own confinement", p(mutation.SidecarFiles), []string{"F12"}, nil},
		{"the cleaning of output", p(mutation.OutputRaw), []string{"R01"}, append(e2e("OutputRaw"), "internal/neutralize TestMutationOutputRawLetsACommandThrough")},
		{"the judging of paths that leave", p(mutation.PatchAnyPath), []string{"F09", "F11"}, append(e2e("PatchAnyPath"), "internal/workspace TestMutationPatchAnyPath")},
		{"no links leave", p(mutation.PatchAnyMode), []string{"F08"}, nil},
		{"registries speak TLS, but on this host", p(mutation.ImagePlainHTTP), nil, []string{"internal/image TestMutationPlainHTTPLetsARegistryLeadElsewhere"}},
		{"a bottle serves the jobs that it names", p(mutation.BottleAnyJob), nil, []string{"internal/manifest TestMutationAnyJobGivesOneRepositorysBottleToAnother"}},
		{"who caused a job can write", p(mutation.TriggerAnybody), nil, []string{"action TestMutationAnybodyLetsAReaderStartAJob"}},
	}
}

// Markdown is the table as a page.
func Markdown() string {
	var b strings.Builder
	b.WriteString(head)
	for _, d := range Table() {
		var points, who []string
		for _, p := range d.Points {
			points = append(points, "`"+string(p)+"`")
		}
		who = append(who, d.Cases...)
		for _, t := range d.Tests {
			who = append(who, "`"+t+"`")
		}
		fmt.Fprintf(&b, "| %s | %s | %s |\n", d.Name, strings.Join(points, ", "), strings.Join(who, ", "))
	}
	return b.String()
}

const head = `# What notices when a defence is gone

Made from internal/mutation/defences by: go test ./internal/mutation/defences -update

A test build (` + "`-tags mutation`" + `) can switch off each of these. ` + "`make mutate`" + ` switches off one
row after another, runs those that have to notice, and fails where one doesn't. The build that users
get has none of the switches: a test looks for their names in it. Cases are those of the
[escape suite](escape.md); where layers stand behind each other, they are switched off together, or
the next one would hold the attack.

| defence | switched off by | who notices |
|---|---|---|
`
