package config

import (
	"errors"
	"strings"
	"time"

	"github.com/robfig/cron/v3"

	"github.com/norestart/norestart/control"
)

// Clock reads a schedule as [control.PoolSpec] has it.
func Clock(schedule string) (next func(after time.Time) time.Time, err error) {
	if strings.Contains(schedule, "TZ=") && !strings.Contains(schedule, " ") { // the parser panics
		return nil, errors.New("nothing follows the time zone")
	}
	if every, ok := strings.CutPrefix(schedule, "@every "); ok {
		if d, err := time.ParseDuration(every); err == nil && d < time.Second {
			return nil, errors.New("want a second or more")
		}
	}
	s, err := cron.ParseStandard(schedule)
	if err != nil {
		return nil, err
	}
	return s.Next, nil
}

// zoned is a schedule with the time zone of the pool.
func (p *Pool) zoned(schedule string) string {
	if schedule == "" || p.Timezone == "" {
		return schedule
	}
	return "TZ=" + p.Timezone + " " + schedule
}

func (r *reader) checkClock(p *Pool) {
	if _, said := p.has["timezone"]; said {
		switch _, err := time.LoadLocation(p.Timezone); {
		case err != nil || p.Timezone == "":
			r.at(&p.table, "timezone", `%q: no such time zone, want one as "Europe/Berlin" or "UTC"`, p.Timezone)
			return
		case p.Schedule == "" && p.ReloadAt == "":
			r.at(&p.table, "timezone", "it goes with schedule or reload_at")
		}
	}
	r.checkTime(p, "schedule", p.Schedule)
	r.checkTime(p, "reload_at", p.ReloadAt)
	if p.Schedule != "" {
		r.checkScheduled(p)
	}
}

func (r *reader) checkTime(p *Pool, key, schedule string) {
	if !p.isText(key) {
		return
	}
	var next func(time.Time) time.Time
	err := errors.New("it names the time zone itself: leave out TZ= or timezone")
	if p.Timezone == "" || !strings.HasPrefix(schedule, "TZ=") && !strings.HasPrefix(schedule, "CRON_TZ=") {
		next, err = Clock(p.zoned(schedule))
	}
	if err == nil && next(time.Now()).IsZero() {
		err = errors.New("that never comes")
	}
	if err != nil {
		r.at(&p.table, key, `%q: %v; want "MINUTE HOUR DAY MONTH WEEKDAY", "@daily" or "@every 1h"`, schedule, err)
	}
}

// checkScheduled refuses what makes no sense for a process that does its work and
// ends.
func (r *reader) checkScheduled(p *Pool) {
	for key, why := range map[string]string{
		"listen":      "between its runs nobody would accept",
		"share":       "between its runs nobody would accept",
		"ready":       "a run is ready when it has been started",
		"live":        "a run would be cut and begun again",
		"max_age":     "a run would be cut and begun again",
		"max_memory":  "a run would be cut and begun again",
		"max_workers": "there is one run at a time",
		"max_surge":   "there is one run at a time",
		"reload_at":   "each run is of what the last reload has read",
	} {
		if _, said := p.has[key]; said {
			r.at(&p.table, key, "it does not go with schedule: %s", why)
		}
	}
	if p.Workers != 1 {
		r.at(&p.table, "workers", "it does not go with schedule: there is one run at a time")
	}
	if _, said := p.has["restart"]; said && p.Restart != string(control.Never) {
		r.at(&p.table, "restart", `with schedule want "never": a run that failed is followed by the next one`)
	}
}
