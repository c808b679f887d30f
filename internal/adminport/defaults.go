package adminport

import (
	"cmp"
	"time"
)

func withDefaults(c Config) Config {
	set(&c.HelloTimeout, 10*time.Second)
	set(&c.LoginTimeout, 30*time.Second)
	set(&c.NoChannelTimeout, time.Minute)
	set(&c.IdleTimeout, 15*time.Minute)
	set(&c.StallTimeout, time.Minute)
	set(&c.KeepaliveInterval, 15*time.Second)
	set(&c.MaxConnections, 100)
	set(&c.MaxPerSource, 10)
	set(&c.MaxSessions, 10)
	set(&c.MaxPerUser, max(1, c.MaxConnections/4))
	c.TLSUser = cmp.Or(c.TLSUser, adminUser)
	return c
}

func set[T ~int | ~int64](field *T, value T) {
	if *field <= 0 {
		*field = value
	}
}

// adminUser is the user that Config.PasswordHash lets in.
const adminUser = "admin"
