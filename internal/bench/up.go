package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"time"

	"github.com/norestart/norestart/internal/harness"
)

// measureUp starts ten pools of programs by `norestart up`, and compares that with
// as many bare starts.
func measureUp(ctx context.Context, b *bench) (table, error) {
	var t table
	pools, workers := 10, b.less(10, 2)
	file := filepath.Join(b.dir, "pools.toml")
	if err := os.WriteFile(file, []byte(b.poolsFile(pools, workers)), 0o600); err != nil {
		return t, err
	}
	var memory []harness.Memory
	up := func() (float64, error) {
		begin := time.Now()
		c, err := b.launch(ctx, pools*workers, false, b.norestart, "up", "--config", file, "--dir")
		if err != nil {
			return 0, err
		}
		took := time.Since(begin).Seconds()
		m, err := harness.MemoryOf(c.PID())
		memory = append(memory, m)
		return took, errors.Join(err, c.Stop())
	}
	p, err := pairs(ctx, b.turns(), up, func() (float64, error) { return b.atOnce(ctx, pools*workers) })
	if err != nil {
		return t, err
	}
	last := memory[len(memory)-1]
	t.add(fmt.Sprintf("`norestart up` of %d pools, %d workers in all, to all ready, against as many bare starts, %d at a time", pools, pools*workers, runtime.GOMAXPROCS(0)), "≤ 1.3 ×", p.String(), judge(p.ratio() <= 1.3))
	t.info("the primary with them: PSS; private dirty; anonymous", fmt.Sprintf("%s; %s; %s", mib(last.PSS), mib(last.Dirty), mib(last.Anon)))
	t.note("up %s; starts %s", turnsText(p.a, seconds), turnsText(p.b, seconds))
	return t, nil
}

// poolsFile has pools of the bare process.
func (b *bench) poolsFile(pools, workers int) string {
	var text strings.Builder
	text.WriteString("name = \"many\"\n")
	for i := range pools {
		name := "web"
		if i > 0 {
			name = fmt.Sprintf("web%d", i)
		}
		fmt.Fprintf(&text, "[pool.%s]\ncommand = [%q, %q]\nlisten = [\"tcp://127.0.0.1:0\"]\nworkers = %d\nready = \"notify\"\n", name, b.self, roleBare, workers)
	}
	return text.String()
}
