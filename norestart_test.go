package norestart

import (
	"reflect"
	"testing"

	"github.com/norestart/norestart/control"
)

// TestPoolSetsAll: what an application can say of a pool is all that a
// [control.PoolSpec] has, but for what norestart itself decides.
func TestPoolSetsAll(t *testing.T) {
	ours := map[string]bool{
		"BuiltIn": true, "MaxOutgoing": true,
		"RunAs": true, // User and Group
		// What norestart.toml says of programs that are not the application itself.
		"Program": true, "Protocol": true, "ReadyLine": true, "ReadyAfter": true,
		"StopSignal": true, "Umask": true, "Nice": true, "DependsOn": true, "ListenEnv": true, "FDStoreMax": true, "Nonblock": true, "TTY": true,
		"SocketMode": true, "SocketUser": true, "SocketGroup": true,
		"ReadyProbe": true, "Live": true, // asked by the agent
		"Schedule": true, "ReloadAt": true,
	}
	var p Pool
	pool := reflect.ValueOf(&p).Elem()
	for _, f := range reflect.VisibleFields(reflect.TypeFor[control.PoolSpec]()) {
		if ours[f.Name] {
			continue
		}
		v := pool.FieldByName(f.Name)
		if !v.IsValid() || v.Type() != f.Type {
			t.Errorf("Pool has no field %s %v", f.Name, f.Type)
			continue
		}
		switch v.Kind() {
		case reflect.String:
			v.SetString("x")
		case reflect.Bool:
			v.SetBool(true)
		case reflect.Slice:
			v.Set(reflect.MakeSlice(f.Type, 1, 1))
		case reflect.Map:
			v.Set(reflect.MakeMap(f.Type))
		default:
			v.SetInt(1)
		}
		if reflect.ValueOf(p.spec()).FieldByIndex(f.Index).IsZero() {
			t.Errorf("%s is not passed on", f.Name)
		}
	}
}
