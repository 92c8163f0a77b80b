package needles

import "strings"

// common holds words of six letters and more that stand in most texts, code or
// configuration, and also serve as passwords of test servers. A random secret is none
// of them; the list need not be long, only what people would really set.
var common = func() map[string]bool {
	set := map[string]bool{}
	for _, w := range strings.Fields(`
		abc123 abcdef account action address admin1 admins administrator agents always
		another anthropic application argument assistant authorization backend before
		between bottle branch browser button cached cancel change changed changeme channel
		client commit common config configuration connect connection container content
		context continue control cookie correct create credential credentials current
		database debugging default delete description desktop develop developer
		development directory disable disabled docker document domain download dragon
		egress element enable enabled encoding engine english environment errors example
		execute expect export external failed feature fields filter finish folder follow
		foobar format forward foobarbaz function general github gitea google guest
		handle header headers hello helloworld history hostname hunter ignore import
		index information insert install integer interface internal invalid issues
		javascript kubernetes language latest length letmein letter library license limit
		linux list local localhost logger login machine manager master maximum memory
		message messages method minimum missing mobile model module monitor mysecret
		mypassword network nothing notes number object openai operation option options
		origin output package parameter parent passphrase passwd password passwords
		pattern people placeholder please plugin policy postgres postgresql prefix primary
		print private process production profile program project property protocol
		provider proxies public python qwerty qwertyuiop random readme reason record
		redis release remote remove repository request required resource response result
		return review running runner sample schema script search second secret secrets
		section secure security select server service session settings should simple
		single socket source standard status storage stream string strings struct submit
		subject success summary supervisor support switch symbol system target template
		testing tester testtest testuser thread through timeout timestamp together toolbox
		topsecret tokens trigger undefined unknown unsigned update upload username usertest
		validate values variable verbose version virtual warning welcome window windows
		winter without worker workflow workspace writer
	`) {
		set[w] = true
	}
	return set
}()
