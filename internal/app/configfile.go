package app

import (
	"encoding/json"
	"fmt"
	"io"
	"os"

	"github.com/BurntSushi/toml"
)

// maxConfig is how large the configuration of an application may be: each worker is
// told all of it.
const maxConfig = 128 << 10

// readConfig reads the configuration of the application, as JSON.
func readConfig(path string) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("configuration of the application: %w", err)
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, maxConfig+1))
	if err != nil {
		return nil, fmt.Errorf("configuration of the application: %w", err)
	}
	if len(text) > maxConfig {
		return nil, fmt.Errorf("%s: it has more than %d KiB: name large things by their files", path, maxConfig>>10)
	}
	all := make(map[string]any)
	if err := toml.Unmarshal(text, &all); err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	data, err := json.Marshal(all)
	if err == nil && len(data) > 2*maxConfig {
		err = fmt.Errorf("as JSON it has more than %d KiB", 2*maxConfig>>10)
	}
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return data, nil
}
