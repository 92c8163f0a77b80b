package docker

import "github.com/bot-bottle/action/preflight"

// Entries are what this backend's own checks can find.
func Entries() []preflight.Entry {
	return []preflight.Entry{
		dockerMissing, dockerDenied, dockerStopped, dockerRemote, dockerNamed, dockerPodman, dockerOld, dockerNameless, dockerElsewhere, dockerRootless,
		dockerLabels, dockerUnfiltered, dockerMapped, runtimeUnknown, runtimeLacking, isolationVM, isolationContainer, rootOfHost, rootReadOnly,
		limitsNotHeld, limitsBestEffort,
	}
}

func entry(id string, status preflight.Status, meaning string, remedies ...preflight.Remedy) preflight.Entry {
	return preflight.Entry{ID: id, Status: status, Meaning: meaning, Remedies: remedies}
}

func always(text string) preflight.Remedy     { return preflight.Remedy{Text: text} }
func on(distro, text string) preflight.Remedy { return preflight.Remedy{Distro: distro, Text: text} }

var (
	dockerMissing = entry("docker-missing", preflight.Fail, "There is no Docker Engine here.",
		on("nixos", "virtualisation.docker.enable = true;"),
		always("install Docker Engine 20.10 or newer and start it (on Debian: apt-get install docker.io), or use the gvisor backend, which needs none"))
	dockerDenied = entry("docker-denied", preflight.Fail, "The engine's socket is there, and this user may not use it. Who may is as good as root on this host.",
		on("nixos", "systemd.services.RUNNER.serviceConfig.SupplementaryGroups = [ \"docker\" ];, or users.users.{user}.extraGroups = [ \"docker\" ]; and {again}"),
		always("add this user to the group of the socket (usually `docker`): usermod -aG docker {user}, and {again}; that makes it root on this host"))
	dockerStopped = entry("docker-stopped", preflight.Fail, "The engine's socket is there, and no engine answers in time.",
		always("start the engine: systemctl start docker; or see whether it works: docker info"))
	dockerRemote = entry("docker-remote", preflight.Fail, "DOCKER_HOST names no socket of this host.",
		always("unset DOCKER_HOST, or run bot-bottle on the engine's own host: a bottle is bound to this host's files and sockets"))
	dockerNamed = entry("docker-named", preflight.Fail, "Under a runner only the usual socket is taken, because a job can set DOCKER_HOST.",
		always("unset DOCKER_HOST in the job, or let the engine listen on "+usualSocket))
	dockerPodman = entry("docker-podman", preflight.Fail, "The socket is Podman's, which keeps other defaults than Docker's, and nobody has checked them.",
		always("use the gvisor backend, which needs no engine, or Docker Engine"))
	dockerOld = entry("docker-old", preflight.Fail, "The engine's API is too old.",
		always("install Docker Engine 20.10 or newer"))
	dockerNameless = entry("docker-nameless", preflight.Fail, "The engine has no id, by which it could be known again.",
		always("see what docker info prints"))
	dockerElsewhere = entry("docker-elsewhere", preflight.Fail, "The engine runs in another machine, or in a virtual one: its kernel is not this host's.",
		always("use an engine that runs on this host itself"))
	dockerRootless = entry("docker-rootless", preflight.Fail, "The engine is rootless: how it holds limits has not been verified.",
		always("use the gvisor backend, which needs no root either, or the engine of root"))
	dockerLabels = entry("docker-selinux", preflight.Fail, "The engine labels containers for SELinux, which keeps them from the doors.",
		always("use the gvisor backend"))
	dockerUnfiltered = entry("docker-unfiltered", preflight.Fail, "The engine has no system call filter.",
		always("use an engine and a kernel with seccomp"))
	dockerMapped = entry("docker-mapped", preflight.Fail, "The engine maps users, and doesn't say to which ids.",
		always("see `userns-remap` in the engine's settings, or switch it off"))
	runtimeUnknown = entry("runtime-unknown", preflight.Fail, "The engine has no runtime of the wanted name.",
		always("register it with the engine, or leave the setting docker.runtime out"))
	runtimeLacking = entry("runtime-lacking", preflight.Fail, "runsc is registered with the engine, and not as a bottle needs it.",
		always(registerHint))
	isolationVM = entry("isolation-no-vm", preflight.Fail, "The bottle wants a virtual machine.",
		always("use a backend with a virtual machine, or lower the bottle's `isolation`"))
	isolationContainer = entry("isolation-container", preflight.Fail, "The bottle wants a kernel of its own, and the engine's runtime gives a container.",
		always(registerHint+"; or use the gvisor backend; or write `isolation: container` into the bottle, which trusts the host's kernel"))
	rootOfHost = entry("root-of-host", preflight.Fail, "Root in the container would be root on the host's own kernel.",
		always("leave --root out, use a backend with a kernel of its own, or set `userns-remap` in the engine"))
	rootReadOnly = entry("root-read-only", preflight.Warn, "Root in the container finds the image read-only.",
		always("install into the image beforehand, or use the gvisor backend"))
	limitsNotHeld = entry("limits-not-held", preflight.Fail, "The engine says that it can't hold some limits here.",
		always("boot with cgroup_enable=memory swapaccount=1 and control groups of version 2; or write `best_effort: true` into the bottle's limits"))
	limitsBestEffort = entry("limits-best-effort", preflight.Warn, "The engine can't hold some limits here, and the bottle is content with that.",
		always("boot with cgroup_enable=memory swapaccount=1 and control groups of version 2"))
)
