package config

// File is a configuration as it is written. Zero fields of a pool have the
// defaults of [control.PoolSpec].
type File struct {
	// Name is that of the cluster, also of its directories and in its prompt.
	Name string `toml:"name" example:"\"shop\""`
	// Pools are groups of like processes, started in the order of the file.
	Pools []*Pool `toml:"pool"`
	// Shell is the admin port. Without this table there is none, and
	// `norestart ctl` on the machine is the only way in.
	Shell *Shell `toml:"shell"`
	// Metrics are served for Prometheus. Without this table they are not.
	Metrics *Metrics `toml:"metrics"`
	// Hooks are told of events.
	Hooks []*Hook `toml:"hook"`
	// Commands run a program when an operator types their name.
	Commands []*Command `toml:"command"`

	path  string // absolute
	table `later:"log,agent"`
}

// Pool is a [pool.NAME] table: a group of processes that run one program.
type Pool struct {
	Name string `toml:"-"`

	// Command is the program and its arguments, without a shell between. A
	// program without a slash is looked up in PATH, one with a slash from `dir`.
	Command Words `toml:"command" need:"true" example:"[\"./app\", \"--serve\"]"`
	// Workers is how many processes run it, or "auto": one for each processor.
	Workers Workers `toml:"workers" default:"1"`
	// MaxWorkers is how far `scale` may go.
	MaxWorkers int `toml:"max_workers" default:"512"`

	// Listen are the addresses whose sockets the program inherits, as from
	// systemd (LISTEN_FDS): "tcp://ADDRESS:PORT", "tcp://:PORT" for every address
	// of the machine, or "unix:///PATH". "NAME=" before it names the socket
	// (LISTEN_FDNAMES).
	Listen []string `toml:"listen" example:"[\"tcp://127.0.0.1:8080\"]"`
	// SocketMode is the mode of the unix sockets in `listen`, in octal digits, from when
	// they are opened: a reload changes it with the address. Without
	// it, it is what the umask of the primary leaves.
	SocketMode Umask `toml:"socket_mode" example:"\"660\""`
	// SocketUser owns them, by name or number. Only a primary of root can do that.
	SocketUser string `toml:"socket_user"`
	// SocketGroup is their group, by name or number: one of the primary's own.
	SocketGroup string `toml:"socket_group" example:"\"www-data\""`
	// ListenEnv tells of the sockets in another way, too: "NGINX" as nginx tells the
	// binary that takes its place, "EINHORN" as Einhorn tells its workers.
	ListenEnv string `toml:"listen_env" values:"NGINX,EINHORN"`
	// Nonblock makes the sockets non-blocking. Without it they are blocking, as from
	// systemd, but for `listen_env = "NGINX"`.
	Nonblock bool `toml:"nonblock" default:"false"`
	// FDStoreMax is how many descriptors the processes of a worker may leave to the next
	// one, with `ready = "notify"` (FDSTORE of sd_notify(3)), as FileDescriptorStoreMax=
	// of systemd. 0: none.
	FDStoreMax int `toml:"fd_store_max" default:"128" zero:"ok"`
	// Share is how workers share an address: "slots": each has a socket of its own
	// and the kernel sends new connections to those that are ready; "one": all
	// accept from the same socket; "seize": "slots" for programs that do not take
	// sockets and open a port that they are told. PORT, and {port} in `command`, is a
	// free one for each process, and what it listens on becomes its slot's socket;
	// "relay": the same port, and a process of norestart accepts at the address and
	// passes on, for programs that do not bear "seize".
	Share string `toml:"share" default:"slots" values:"slots,one,seize,relay"`
	// ProxyProtocol tells the program the address of its client, which it does not see
	// under `share = "relay"`, by a header of the PROXY protocol before all else:
	// "v1" or "v2".
	ProxyProtocol string `toml:"proxy_protocol" values:"v1,v2"`
	// Forwarded makes the relay pass on requests of HTTP/1 instead of connections, with
	// the address of the client in X-Forwarded-For, and X-Forwarded-Host and
	// X-Forwarded-Proto. What a client says there itself is dropped.
	Forwarded bool `toml:"forwarded" default:"false"`
	// Ready is how a worker says that it can serve: "notify": it sends READY=1 to
	// NOTIFY_SOCKET, as to systemd (Type=notify); "log": it writes a line that
	// matches `ready_line`; "exec": it does not, and counts as ready as soon as it
	// has been started; "timer": the same when it has run for `min_ready`;
	// "listen", which `share = "seize"` and `share = "relay"` have without this key: it
	// listens on PORT; "http": it answers a GET of `ready_http` with a status from 200 to
	// 399; "tcp": it takes a connection at `ready_tcp`.
	Ready string `toml:"ready" default:"timer" values:"notify,log,exec,timer,listen,http,tcp"`
	// ReadyLine is a regular expression (RE2) for a line of its output, with
	// `ready = "log"`.
	ReadyLine string `toml:"ready_line" example:"\"listening on\""`

	// ReadyHTTP is what is asked with `ready = "http"`: with `share = "relay"` a path at
	// the PORT of the process, else a URL at an address of its own.
	ReadyHTTP string `toml:"ready_http" example:"\"/healthz\""`
	// ReadyTCP is the address with `ready = "tcp"`: "127.0.0.1:8081", or with
	// `share = "relay"` "PORT", that of the process.
	ReadyTCP string `toml:"ready_tcp" example:"\"127.0.0.1:8081\""`
	// ReadyHost is the Host of the request of `ready_http`; without it that of the URL,
	// or localhost.
	ReadyHost string `toml:"ready_host" example:"\"shop.example\""`
	// ReadyEvery is how long after an answer a worker that is not ready is asked again.
	ReadyEvery Duration `toml:"ready_every" default:"250ms"`
	// ReadyAnswer is how long one answer may take.
	ReadyAnswer Duration `toml:"ready_answer" default:"2s"`

	// Live asks a worker that is ready whether it still works, and replaces it if it
	// does not. Without this table it is not asked.
	Live *Live `toml:"live"`

	// Env are variables of its environment, which is otherwise that of the
	// primary. They win over those of `env_file`.
	Env map[string]string `toml:"env" secret:"true" example:"{ NODE_ENV = \"production\" }"`
	// EnvFile is a file of NAME=value lines, or a list of them, of which a later
	// one wins. They are read anew at each reload.
	EnvFile Texts `toml:"env_file" example:"\".env\""`
	// Dir is the working directory, from that of this file. Symbolic links in it
	// are followed anew at each reload.
	Dir string `toml:"dir" default:"." example:"\"current\""`
	// User is what the workers run as, by name or number. Only a primary of root
	// can do that.
	User string `toml:"user" example:"\"www-data\""`
	// Group is theirs, by name or number; without it they have all groups of the
	// user.
	Group string `toml:"group"`
	// Rlimits are limits of each process (setrlimit(2)), soft and hard: nofile,
	// nproc, as, core, fsize. A number, a size as "512M", or "unlimited".
	Rlimits map[string]Limit `toml:"rlimits" names:"nofile,nproc,as,core,fsize" example:"{ nofile = 65536 }"`
	// NewPrivileges lets the workers execute set-user-ID programs, such as sudo.
	NewPrivileges bool `toml:"new_privileges" default:"false"`
	// Umask is their file mode creation mask, in octal digits. Without it they have
	// that of the primary.
	Umask Umask `toml:"umask" example:"\"027\""`
	// Nice is their nice value, from -20 (served first) to 19. Below that of the
	// primary only root can set it. Without it they have that of the primary.
	Nice Nice `toml:"nice" zero:"any"`

	// TTY gives each worker a terminal of its own as stdin, stdout and stderr, for
	// programs that want one; `worker attach` connects an operator's terminal to it.
	// What it shows, with the echo of what is typed, is in the log, too.
	TTY bool `toml:"tty" default:"false"`

	// Restart says which ends of a worker start it again: "always", "on-failure"
	// (an exit status other than 0, or a signal) or "never".
	Restart string `toml:"restart" default:"always" values:"always,on-failure,never"`
	// MaxRestarts is how often a worker is started again within the time `within`;
	// one end more, and it is given up as dead until somebody revives it.
	MaxRestarts int `toml:"max_restarts" default:"5"`
	// Within is the time in which `max_restarts` are counted.
	Within Duration `toml:"within" default:"1m"`
	// BackoffMin is the wait before a worker is started again, doubled each time.
	BackoffMin Duration `toml:"backoff_min" default:"100ms"`
	// BackoffMax is the longest such wait.
	BackoffMax Duration `toml:"backoff_max" default:"30s"`
	// BackoffReset is how long a worker must be ready for the wait to be short
	// again.
	BackoffReset Duration `toml:"backoff_reset" default:"10s"`

	// ReadyTimeout is how long a worker may take to become ready; one that takes
	// longer has failed.
	ReadyTimeout Duration `toml:"ready_timeout" default:"30s"`
	// MinReady is how long a successor must stay ready before the next slot of a
	// reload has its turn.
	MinReady Duration `toml:"min_ready" default:"0s" zero:"ok"`
	// Canary is the same for the first successor of a reload, whose failure
	// changes nothing. "0s": it is not waited for.
	Canary Duration `toml:"canary" default:"500ms" zero:"none"`
	// Watch is how long a reload goes on looking after the last replacement: if
	// the new generation crashes more often than the one before did in as much
	// time, it is rolled back. "0s": it does not.
	Watch Duration `toml:"watch" default:"0s" zero:"ok"`
	// Update is a program and its arguments, without a shell between, that `reload
	// --update` runs before the new generation is made: once, in `dir`, with the
	// environment and as the user of the pool. Of several pools with the same one in
	// the same directory it runs for the first. If it fails, no worker is touched.
	Update Words `toml:"update" example:"[\"npm\", \"ci\"]"`
	// UpdateTimeout is how long that may take.
	UpdateTimeout Duration `toml:"update_timeout" default:"10m"`
	// Check is the same before each start and reload, also one by `config reload` or
	// `restart`, as the workers to come would be started. If it fails, no worker is
	// started or touched. `rollback` does without.
	Check Words `toml:"check" example:"[\"nginx\", \"-t\"]"`
	// CheckTimeout is how long that may take.
	CheckTimeout Duration `toml:"check_timeout" default:"30s"`
	// WatchFiles are files and directories, from the directory of this file: when
	// something in them changes, the pool is reloaded.
	WatchFiles []string `toml:"watch_files" example:"[\"src\"]"`
	// WatchExclude are patterns as in gitignore(5), from each of `watch_files`, of what
	// is not watched. Files of version control, dependencies, caches and editors are
	// not in any case: .git, node_modules, *.swp and the like.
	WatchExclude []string `toml:"watch_exclude" example:"[\"*.log\", \"/dist/\"]"`
	// MaxSurge is how many successors a reload prepares at once beside the workers
	// that serve. 0 is for programs of which two must not run at a time: each has
	// gone before its successor is started.
	MaxSurge int `toml:"max_surge" default:"1" zero:"none"`
	// MaxUnavailable is how many such workers may be missing at once, with
	// `max_surge = 0`.
	MaxUnavailable int `toml:"max_unavailable" default:"1"`

	// LameDuck is how long new connections go to other workers before a replaced
	// one gets its stop signal, so that it can accept what waits in its socket.
	LameDuck Duration `toml:"lame_duck" default:"100ms" zero:"none"`
	// StopSignal asks a worker to finish what it has accepted and to end.
	StopSignal string `toml:"stop_signal" default:"TERM" values:"TERM,INT,QUIT,HUP,USR1,USR2,WINCH"`
	// DrainTimeout is how long it may take for that, also when the cluster is
	// stopped. Then it gets TERM.
	DrainTimeout Duration `toml:"drain_timeout" default:"30s"`
	// StopTimeout is how long after that TERM it gets KILL. One that is not ready
	// has nothing to finish and gets TERM at once.
	StopTimeout Duration `toml:"stop_timeout" default:"5s"`
	// KillGroup is what ends with a worker: "descendants": all that it has
	// started; "group": its process group, so that daemons outlive it.
	KillGroup string `toml:"kill_group" default:"descendants" values:"descendants,group"`

	// MaxAge is how long a worker serves; then it is replaced, its successor first,
	// and `worker info` tells why. Less up to a tenth, so that workers are not
	// replaced all at once.
	MaxAge Duration `toml:"max_age" example:"\"24h\""`
	// MaxMemory is how much memory a worker may have, with all that it has started
	// and its part of what is shared (PSS). One that has had more for
	// `max_memory_for` is replaced in the same way.
	MaxMemory Limit `toml:"max_memory" example:"\"512M\""`
	// MaxMemoryFor is for how long; a worker may need more for a moment.
	MaxMemoryFor Duration `toml:"max_memory_for" default:"30s"`

	// Schedule is when the one process of the pool is started, to do its work and end:
	// "MINUTE HOUR DAY MONTH WEEKDAY" as in crontab(5), "@hourly", "@daily", "@weekly",
	// "@monthly", "@yearly", or "@every 1h". The last run must have ended.
	Schedule string `toml:"schedule" example:"\"0 3 * * *\""`
	// ReloadAt is when the pool is reloaded, in the same form.
	ReloadAt string `toml:"reload_at" example:"\"0 4 * * 0\""`
	// Timezone is that of `schedule` and `reload_at`; without it they have that of the
	// machine.
	Timezone string `toml:"timezone" example:"\"Europe/Berlin\""`

	// Orphan is what a worker does while there is no primary. A program does not
	// notice, and serves on; `norestart stop --orphans` ends those of a primary that
	// does not come back.
	Orphan string `toml:"orphan" default:"serve" values:"serve"`

	// Log is a file for what its workers write, "file:PATH", from the directory of
	// this file.
	Log string `toml:"log" example:"\"file:/var/log/shop/web.log\""`
	// LogFormat is that of its lines: "text": time, worker and line; "json": the
	// same as an object; "raw": the line alone.
	LogFormat string `toml:"log_format" default:"text" values:"text,json,raw"`
	// LogSize is how large it becomes before it is renamed to PATH.1.
	LogSize Limit `toml:"log_size" default:"10M" example:"\"10M\""`
	// LogKeep is how many such files are kept: PATH.1 to PATH.5.
	LogKeep int `toml:"log_keep" default:"5" zero:"ok"`

	// DependsOn are pools that must be ready before this one is started; one with
	// `restart = "never"` that does not tell when it is ready must be done. When the
	// cluster is stopped they are stopped after it.
	DependsOn []string `toml:"depends_on" example:"[\"db\"]"`

	environ []string // of Env and the contents of EnvFile
	dir     string   // absolute
	table   `later:"hook,instance_var"`
}

// Live is a [pool.NAME.live] table: with one of `http`, `tcp` and `exec`.
type Live struct {
	// HTTP is what a GET must answer with a status from 200 to 399 for: with
	// `share = "relay"` a path at the PORT of the process, else a URL at an address of
	// its own.
	HTTP string `toml:"http" example:"\"/healthz\""`
	// Host is that of the request; without it that of the URL, or localhost.
	Host string `toml:"host" example:"\"shop.example\""`
	// TCP is an address that must take a connection: "127.0.0.1:8081", or with
	// `share = "relay"` "PORT", that of the process.
	TCP string `toml:"tcp" example:"\"127.0.0.1:8081\""`
	// Exec is a program that must exit with status 0, without a shell between, as the
	// user and in the directory of the pool. NORESTART_SLOT and NORESTART_PID tell it
	// which process it asks for.
	Exec Words `toml:"exec" example:"[\"./alive.sh\"]"`
	// Every is how long after an answer a worker is asked again.
	Every Duration `toml:"every" default:"5s"`
	// Timeout is how long an answer may take.
	Timeout Duration `toml:"timeout" default:"2s"`
	// Fail is how many failures in a row replace a worker.
	Fail int `toml:"fail" default:"3"`
	// StartPeriod is how long nothing counts after a worker became ready.
	StartPeriod Duration `toml:"start_period" default:"0s" zero:"ok"`

	table
}

// Shell is the [shell] table: the admin port.
type Shell struct {
	// Listen is the address, "ADDRESS:PORT"; port 0: any free one.
	Listen string `toml:"listen" default:"127.0.0.1:7777"`
	// User is what its process runs as, by name or number. Only a primary of root
	// can do that.
	User string `toml:"user"`
	// Group is that of the process, by name or number; without it the process has
	// all groups of the user.
	Group string `toml:"group"`
	// PasswordHash lets the user admin log in: what `norestart user hash` prints.
	// A user admin in users.toml replaces it.
	PasswordHash string `toml:"password_hash" secret:"true"`
	// TLSUser is whose password the TLS line shell asks for.
	TLSUser string `toml:"tls_user" default:"admin"`
	// TLSCert is a file in PEM form, from the directory of this file, and goes with
	// `tls_key`. Without them a certificate is made and renewed.
	TLSCert string `toml:"tls_cert"`
	// TLSKey is the key of `tls_cert`.
	TLSKey string `toml:"tls_key"`
	// TLSNames are names and addresses for the certificate that is made.
	TLSNames []string `toml:"tls_names"`

	// HelloTimeout is how long a client may take to say what it speaks.
	HelloTimeout Duration `toml:"hello_timeout" default:"10s"`
	// LoginTimeout is how long a client may take to log in.
	LoginTimeout Duration `toml:"login_timeout" default:"30s"`
	// NoChannelTimeout ends a connection that has logged in and opens no session.
	NoChannelTimeout Duration `toml:"no_channel_timeout" default:"1m"`
	// IdleTimeout ends a session at whose prompt nobody types.
	IdleTimeout Duration `toml:"idle_timeout" default:"15m"`
	// StallTimeout ends a session whose client does not read.
	StallTimeout Duration `toml:"stall_timeout" default:"1m"`
	// KeepaliveInterval is how often a client is asked whether it is there; the
	// third time without an answer ends the connection.
	KeepaliveInterval Duration `toml:"keepalive_interval" default:"15s"`
	// MaxConnections is how many may be open at the same time.
	MaxConnections int `toml:"max_connections" default:"100"`
	// MaxPerSource is how many of one address may be logging in at the same time.
	MaxPerSource int `toml:"max_per_source" default:"10"`
	// MaxPerUser is how many connections one user may have; without it a quarter
	// of `max_connections`.
	MaxPerUser int `toml:"max_per_user"`
	// MaxSessions is how many one connection may have.
	MaxSessions int `toml:"max_sessions" default:"10"`

	host string
	port int
	table
}

// Metrics is the [metrics] table.
type Metrics struct {
	// Listen is the address, "ADDRESS:PORT" or "unix:///PATH"; port 0: any free
	// one. The path is /metrics, without a password.
	Listen string `toml:"listen" default:"127.0.0.1:9100"`

	addr string // as of a pool
	table
}

// Hook is a [hook.NAME] table: what is done when something happens.
type Hook struct {
	Name string `toml:"-"`
	// Events are those that it is told of, by patterns with * and ?: kinds as
	// `events` has them, and how a job ended, as "reload.failed". docs/hooks.md has
	// all of them.
	Events []string `toml:"events" need:"true" example:"[\"worker.dead\", \"reload.failed\"]"`
	// Run is a program and its arguments, without a shell between. It reads the
	// event from standard input, as JSON, and runs in the directory of this file.
	Run Words `toml:"run" example:"[\"./page.sh\"]"`
	// URL gets the same JSON by POST, instead of a program.
	URL string `toml:"url" secret:"true" example:"\"http://127.0.0.1:9000/page\""`
	// Timeout is how long an attempt may take.
	Timeout Duration `toml:"timeout" default:"10s"`
	// Retries is how often it is tried again after an attempt that failed, 1 s
	// later, 2 s, 4 s, up to a minute. Later events wait meanwhile.
	Retries int `toml:"retries" default:"5" zero:"ok"`

	dir string // absolute
	table
}

// Command is a [command.NAME] table.
type Command struct {
	Name string `toml:"-"`
	// Run is the program and its first arguments, without a shell between; those
	// that are typed follow. It runs in the directory of this file.
	Run Words `toml:"run" need:"true" example:"[\"./flush.sh\"]"`
	// Role is the least role that may type it.
	Role string `toml:"role" need:"true" values:"viewer,operator,admin"`
	// Summary is its line in help; without it, its program.
	Summary string `toml:"summary"`
	// Args says in help what may follow the name.
	Args string `toml:"args" example:"\"[KEY]\""`
	// Timeout is how long it may take. "0s": as long as it likes.
	Timeout Duration `toml:"timeout" default:"0s" zero:"ok"`

	dir string // absolute
	table
}
