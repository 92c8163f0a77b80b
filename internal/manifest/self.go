package manifest

import (
	"cmp"
	"errors"
	"net/url"
	"slices"

	"github.com/bot-bottle/action/internal/policy"
)

// SelfRepository is the job's own, as a bottle can mean it without naming it.
type SelfRepository struct {
	URL     string // ssh://user@host[:port]/owner/name.git
	HostKey string // "TYPE BASE64"; empty: the bottle has to have it
	Server  string // the forge, as the runner names it
}

// Self gives the repository ("owner/name") of a job of the forge at server; nil: there
// is no job.
func (c Config) Self(server, repository string) *SelfRepository {
	u, err := url.Parse(server)
	if err != nil || u.Hostname() == "" || repository == "" {
		return nil
	}
	self := &SelfRepository{Server: server}
	ssh := "git@" + u.Hostname()
	if i := slices.IndexFunc(c.Forges, func(f HostForge) bool { return f.Is(server) }); i >= 0 {
		ssh, self.HostKey = cmp.Or(c.Forges[i].SSH, ssh), c.Forges[i].HostKey
	}
	self.URL = "ssh://" + ssh + "/" + repository + ".git"
	return self
}

// resolveSelf fills in what the host knows of the job's own repository.
func (r *reader) resolveSelf(repos []GitRepo, self *SelfRepository) []GitRepo {
	repos = slices.Clone(repos)
	for i := range repos {
		repo := &repos[i]
		if repo.Name != policy.SelfRemote {
			continue
		}
		at := "git-gate.repos." + policy.SelfRemote
		if self == nil {
			r.at(at, "name a repository and its `url`, or start it by the action", errors.New("it stands for the repository of a runner's job, and there is no job"))
			continue
		}
		repo.URL, repo.HostKey = self.URL, cmp.Or(repo.HostKey, self.HostKey)
		if err := checkSSH(repo.URL); err != nil {
			r.at(at, "", err)
		}
		if repo.Key.Provider != keyStatic {
			repo.Key.Server = cmp.Or(repo.Key.Server, self.Server)
		}
		if repo.HostKey == "" {
			r.at(at, "print it with `bot-bottle hostkey HOST`, compare it with what the server's owner publishes, and write it as `host_key` here or under `forges` in "+HostFolder+"/config.yaml",
				errors.New("nothing pins the server's host key"))
		}
	}
	return repos
}
