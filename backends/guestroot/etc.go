package guestroot

// passwd and group are the guest's users. The shell exists in every image that
// passes the checks.
const (
	passwd = "root:x:0:0:root:/root:/bin/sh\nagent:x:1000:1000:agent:/home/agent:/bin/sh\nnobody:x:65534:65534:nobody:/nonexistent:/usr/sbin/nologin\n"
	group  = "root:x:0:\nagent:x:1000:\nnogroup:x:65534:\n"
)

// etcFiles are the made-up files of the guest's /etc. There is no resolv.conf and
// no name service but files: names fail at once.
func etcFiles(alias string) map[string]string {
	return map[string]string{
		"passwd":        passwd,
		"group":         group,
		"hosts":         "127.0.0.1 localhost\n::1 localhost\n" + alias + " bottle\n",
		"hostname":      "bottle\n",
		"nsswitch.conf": "passwd: files\ngroup: files\nhosts: files\nservices: files\nprotocols: files\n",
		"services":      "http 80/tcp\nhttps 443/tcp\nssh 22/tcp\ngit 9418/tcp\n",
		"protocols":     "ip 0 IP\nicmp 1 ICMP\ntcp 6 TCP\nudp 17 UDP\n",
		"shells":        "/bin/sh\n",
		"os-release":    "ID=bottle\nNAME=bottle\nPRETTY_NAME=\"bot-bottle guest (host tools)\"\n",
	}
}
