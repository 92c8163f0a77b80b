package forge

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strings"
	"text/template"
	"time"
)

// forgeServer is a running Gitea with its folder.
type forgeServer struct {
	dir      string // its own
	binary   string
	address  string // of HTTP, host:port
	ssh      string // of its SSH server, host:port
	url      string // without a slash at the end
	process  *process
	root     *client // site administrator
	password string  // of every account
}

// appINI is Gitea's configuration (docs.gitea.com, "Configuration cheat sheet"). It
// keeps no session or queue on disk and asks nothing of the outside.
var appINI = template.Must(template.New("app.ini").Parse(`
RUN_MODE = prod
RUN_USER = {{.User}}
WORK_PATH = {{.Dir}}
I_AM_BEING_UNSAFE_RUNNING_AS_ROOT = {{.Root}}

[server]
PROTOCOL = http
HTTP_ADDR = 127.0.0.1
HTTP_PORT = {{.HTTP}}
DOMAIN = 127.0.0.1
ROOT_URL = http://127.0.0.1:{{.HTTP}}/
STATIC_ROOT_PATH = {{.Static}}
START_SSH_SERVER = true
SSH_DOMAIN = 127.0.0.1
SSH_LISTEN_HOST = 127.0.0.1
SSH_LISTEN_PORT = {{.SSH}}
SSH_PORT = {{.SSH}}
BUILTIN_SSH_SERVER_USER = git
SSH_USER = git
OFFLINE_MODE = true

[database]
DB_TYPE = sqlite3
PATH = {{.Dir}}/gitea.db
SQLITE_JOURNAL_MODE = WAL
SQLITE_TIMEOUT = 30000

[security]
INSTALL_LOCK = true

[service]
DISABLE_REGISTRATION = true

[actions]
ENABLED = true
DEFAULT_ACTIONS_URL = self

[indexer]
ISSUE_INDEXER_TYPE = db

[session]
PROVIDER = memory

[queue]
TYPE = channel

[mailer]
ENABLED = false

[cron.update_checker]
ENABLED = false

[log]
MODE = console
LEVEL = Warn
`))

// startGitea starts one in dir and waits until it answers.
func startGitea(ctx context.Context, dir string) (*forgeServer, error) {
	installed, err := gitea.installed()
	if err != nil {
		return nil, err
	}
	f := &forgeServer{dir: dir, binary: filepath.Join(installed, gitea.program()), password: "correct-horse-battery"}
	// Gitea can't be handed a listener. Somebody else may take a port in between.
	for range 5 {
		if err = f.start(ctx, installed); err == nil {
			return f, nil
		}
	}
	return nil, err
}

func (f *forgeServer) start(ctx context.Context, static string) error {
	ports, err := freePorts(2)
	if err != nil {
		return err
	}
	f.address, f.ssh = "127.0.0.1:"+ports[0], "127.0.0.1:"+ports[1]
	f.url = "http://" + f.address
	if err := f.configure(ports, static); err != nil {
		return err
	}
	if f.process, err = launch(f.command(ctx, "web"), filepath.Join(f.dir, "gitea.log")); err != nil {
		return err
	}
	if err := f.awaitReady(ctx); err != nil {
		f.process.stop()
		return fmt.Errorf("starting Gitea: %w\n%s", err, f.process.tail())
	}
	return nil
}

func (f *forgeServer) configure(ports []string, static string) error {
	me, err := user.Current()
	if err != nil {
		return err
	}
	var text strings.Builder
	err = appINI.Execute(&text, map[string]any{
		"User": me.Username, "Root": os.Getuid() == 0, "Dir": f.dir, "Static": static, "HTTP": ports[0], "SSH": ports[1],
	})
	if err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(f.dir, "app.ini"), []byte(text.String()), 0o600)
}

// command is Gitea with args, in an environment of its own: it takes settings from
// variables too.
func (f *forgeServer) command(ctx context.Context, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, f.binary, append(args, "--config", filepath.Join(f.dir, "app.ini"))...)
	cmd.Dir = f.dir
	cmd.Env = []string{"PATH=" + os.Getenv("PATH"), "HOME=" + f.dir, "USER=" + os.Getenv("USER"), "TMPDIR=" + os.TempDir()}
	return cmd
}

func (f *forgeServer) awaitReady(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	for !f.process.ended() {
		if f.answers(ctx) {
			return nil
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(pause):
		}
	}
	return errors.New("it ended")
}

// answers tells whether both servers do.
func (f *forgeServer) answers(ctx context.Context) bool {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, f.url+"/api/v1/version", nil)
	if err != nil {
		return false
	}
	answer, err := http.DefaultClient.Do(req)
	if err != nil {
		return false
	}
	answer.Body.Close()
	if answer.StatusCode != http.StatusOK {
		return false
	}
	conn, err := net.Dial("tcp", f.ssh)
	if err != nil {
		return false
	}
	conn.Close()
	return true
}

// freePorts gives n that nobody listened on a moment ago.
func freePorts(n int) ([]string, error) {
	var ports []string
	for range n {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			return nil, err
		}
		defer l.Close() // all at the end, so that no two are the same
		_, port, _ := net.SplitHostPort(l.Addr().String())
		ports = append(ports, port)
	}
	return ports, nil
}

// populate makes the accounts that every test may use: ada owns repositories, rob
// may only read, bottle is what bot-bottle acts as.
func (f *forgeServer) populate(ctx context.Context) error {
	_, err := output(ctx, f.command(ctx, "admin", "user", "create", "--admin", "--username", "warden", "--password", f.password,
		"--email", "warden@forge.invalid", "--must-change-password=false"))
	if err != nil {
		return err
	}
	if f.root, err = f.login(ctx, "warden"); err != nil {
		return err
	}
	for _, name := range []string{"ada", "rob", "bottle"} {
		err := f.root.post(ctx, "/admin/users", map[string]any{
			"username": name, "email": name + "@forge.invalid", "password": f.password, "must_change_password": false,
		}, nil)
		if err != nil {
			return err
		}
	}
	return nil
}

// login gives a client with a token of the account's.
func (f *forgeServer) login(ctx context.Context, name string) (*client, error) {
	byPassword := &client{base: f.url + "/api/v1", login: name, password: f.password}
	var made struct{ SHA1 string }
	err := byPassword.post(ctx, "/users/"+name+"/tokens", map[string]any{"name": "tests", "scopes": []string{"all"}}, &made)
	return &client{base: byPassword.base, login: name, token: made.SHA1}, err
}
