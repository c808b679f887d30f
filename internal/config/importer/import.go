package importer

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"unicode/utf8"

	"github.com/norestart/norestart/internal/config"
)

// Import reads a file of another process manager, told by its name, and returns
// the nearest norestart.toml for the directory that the file is in.
func Import(ctx context.Context, path string) (string, error) {
	if _, err := readerFor(filepath.Base(path)); err != nil {
		return "", fmt.Errorf("%s: %w", path, err)
	}
	text, err := os.ReadFile(path)
	if err != nil {
		return "", err
	}
	return convert(ctx, path, string(text))
}

func convert(ctx context.Context, path, text string) (string, error) {
	abs, err := filepath.Abs(path)
	if err != nil {
		return "", err
	}
	read, err := readerFor(filepath.Base(path))
	if err != nil {
		return "", err
	}
	if !utf8.ValidString(text) || strings.ContainsRune(text, 0) {
		return "", fmt.Errorf("%s: it is no text in UTF-8", path)
	}
	d := &draft{name: config.NameOf(filepath.Base(filepath.Dir(abs))), from: filepath.Base(path), dir: filepath.Dir(abs)}
	if err := read(ctx, d, abs, text); err != nil {
		return "", fmt.Errorf("%s: %w", path, err)
	}
	if len(d.pools) == 0 {
		return "", fmt.Errorf("%s: it starts no program", path)
	}
	return d.String(), nil
}

type reader func(ctx context.Context, d *draft, path, text string) error

func readerFor(name string) (reader, error) {
	switch ext := filepath.Ext(name); {
	case strings.HasPrefix(name, "Procfile"):
		return readProcfile, nil
	case ext == ".json":
		return readJSON, nil
	case ext == ".js", ext == ".cjs", ext == ".mjs":
		return readScript, nil
	case ext == ".conf", ext == ".ini":
		return readSupervisord, nil
	case ext == ".service":
		return readService, nil
	}
	return nil, errors.New("unknown kind of file, want a Procfile, ecosystem.config.js or .json, supervisord.conf, or NAME.service")
}
