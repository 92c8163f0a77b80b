package docker

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/mount"
)

// settings puts what decides about a container's confinement into words, the same
// for what was asked and for what the engine has: what it changed shows. Everything
// that isn't named in a request has to be empty in the answer.
func settings(c *container.Config, h *container.HostConfig) map[string]string {
	s := map[string]string{
		"image": c.Image, "user": c.User, "entrypoint": words(c.Entrypoint), "command": words(c.Cmd), "environment": words(c.Env),
		"folder": c.WorkingDir, "terminal": fmt.Sprint(c.Tty, c.OpenStdin), "volumes": words(slices.Sorted(maps.Keys(c.Volumes))),

		"runtime": h.Runtime, "network": string(h.NetworkMode), "ipc": string(h.IpcMode), "processes": string(h.PidMode),
		"host name": string(h.UTSMode), "users": string(h.UsernsMode), "control groups": string(h.CgroupnsMode), "control group parent": h.CgroupParent,
		"privileged": fmt.Sprint(h.Privileged), "capabilities added": capabilityWords(h.CapAdd), "capabilities dropped": capabilityWords(h.CapDrop),
		"groups": words(h.GroupAdd), "security": securityWords(h.SecurityOpt), "masked": words(slices.Sorted(slices.Values(h.MaskedPaths))),
		"read-only paths": words(slices.Sorted(slices.Values(h.ReadonlyPaths))), "read-only root": fmt.Sprint(h.ReadonlyRootfs),

		"binds": words(h.Binds), "volumes from": words(h.VolumesFrom), "links": words(h.Links), "mounts": mountWords(h.Mounts),
		"memory file systems": pairs(h.Tmpfs), "shared memory": fmt.Sprint(h.ShmSize), "storage": pairs(h.StorageOpt), "kernel settings": pairs(h.Sysctls),
		"names": words(append(append(slices.Clone(h.DNS), h.DNSSearch...), h.ExtraHosts...)), "ports": fmt.Sprint(len(h.PortBindings), h.PublishAllPorts),

		"log": h.LogConfig.Type, "restart": string(h.RestartPolicy.Name), "removed by itself": fmt.Sprint(h.AutoRemove), "init": fmt.Sprint(h.Init != nil && *h.Init),
	}
	maps.Copy(s, resources(h.Resources))
	for _, name := range []string{labelHost, labelRun} { // others are the image's
		s["label "+name] = c.Labels[name]
	}
	return s
}

func resources(r container.Resources) map[string]string {
	var tasks int64
	if r.PidsLimit != nil {
		tasks = *r.PidsLimit
	}
	var limits []string
	for _, u := range r.Ulimits {
		limits = append(limits, u.String())
	}
	slices.Sort(limits)
	return map[string]string{
		"memory": fmt.Sprint(r.Memory), "memory and swap": fmt.Sprint(r.MemorySwap), "cpus": fmt.Sprint(r.NanoCPUs, r.CPUQuota, r.CPURealtimeRuntime), "tasks": fmt.Sprint(tasks),
		"limits": words(limits), "devices": fmt.Sprint(len(r.Devices), len(r.DeviceRequests), len(r.DeviceCgroupRules)),
		"memory killer": fmt.Sprint(r.OomKillDisable == nil || !*r.OomKillDisable),
	}
}

func words(list []string) string { return strings.Join(list, " ") }

func pairs(m map[string]string) string {
	var list []string
	for _, name := range slices.Sorted(maps.Keys(m)) {
		list = append(list, name+"="+m[name])
	}
	return words(list)
}

// capabilityWords leaves the prefix out, which some engines add.
func capabilityWords(list []string) string {
	var plain []string
	for _, c := range list {
		plain = append(plain, strings.TrimPrefix(c, "CAP_"))
	}
	slices.Sort(plain)
	return words(plain)
}

// securityWords has the digest of the system call filter instead of all of it.
func securityWords(options []string) string {
	var list []string
	for _, o := range options {
		if profile, isFilter := strings.CutPrefix(o, "seccomp="); isFilter {
			o = "seccomp=sha256:" + hexDigest([]byte(profile))
		}
		list = append(list, o)
	}
	slices.Sort(list)
	return words(list)
}

func mountWords(mounts []mount.Mount) string {
	var list []string
	for _, m := range mounts {
		word := fmt.Sprintf("%s:%s>%s:ro=%t", m.Type, m.Source, m.Target, m.ReadOnly)
		if o := m.BindOptions; o != nil {
			word += fmt.Sprintf(":%s:alone=%t", o.Propagation, o.NonRecursive)
		}
		if m.VolumeOptions != nil || m.TmpfsOptions != nil || m.ImageOptions != nil || m.ClusterOptions != nil {
			word += ":with options"
		}
		list = append(list, word)
	}
	slices.Sort(list)
	return words(list)
}
