package main

import "testing"

func TestLoginsOfRegistriesAreTheUsersAndUnderARunnerTheHosts(t *testing.T) {
	for what, c := range map[string]struct {
		env    map[string]string
		file   string
		runner bool
	}{
		"a user":             {map[string]string{"HOME": "/home/u"}, "/home/u/.docker/config.json", false},
		"a user's choice":    {map[string]string{"HOME": "/home/u", "DOCKER_CONFIG": "/etc/d"}, "/etc/d/config.json", false},
		"nobody's home":      {nil, "", false},
		"a job":              {map[string]string{"HOME": "/home/u", "CI": "true"}, "/etc/bot-bottle/registries.json", true},
		"a job with its own": {map[string]string{"HOME": "/home/u", "GITEA_ACTIONS": "true", "DOCKER_CONFIG": "/tmp/d", "HTTPS_PROXY": "http://x"}, "/etc/bot-bottle/registries.json", true},
	} {
		got := registries(func(name string) string { return c.env[name] })
		if got.Credentials != c.file || got.OnlyRoot != c.runner || (got.Proxy == nil) != c.runner {
			t.Errorf("%s: %+v", what, got)
		}
	}
}
