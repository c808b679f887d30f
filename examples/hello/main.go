// Hello is a complete program on norestart: a web server that is never stopped,
// with an admin port and commands of its own.
package main

import (
	"github.com/norestart/norestart"
	"github.com/norestart/norestart/commands"
	"github.com/norestart/norestart/control"
	"github.com/norestart/norestart/shell"
)

func main() {
	f := parseFlags()
	norestart.Main(norestart.App{
		Name: "hello", Version: "1.0",
		Dir: f.dir,
		Pools: []norestart.Pool{{
			Name: "web", Workers: f.workers, Listen: []string{"tcp://" + f.listen},
			Policy: control.OnFailure, Grant: control.GrantReload, LostAfter: f.lostAfter, User: f.user,
			Run: web{h2c: f.h2c, cert: f.webCert, key: f.webKey, accessLog: f.accessLog}.serve,
		}},
		Shell: &shell.Config{
			Host: f.adminHost, Port: f.adminPort, TLSCert: f.tlsCert, TLSKey: f.tlsKey, User: f.shellUser,
			Commands: []commands.Command{foo, bar, baz, flush, finish},
		},
	})
}
