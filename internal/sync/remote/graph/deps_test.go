package graph

import (
	"os/exec"
	"slices"
	"strings"
	"testing"
)

// The generated models and the root client cost gigabytes to compile.
func TestNoGeneratedModels(t *testing.T) {
	t.Parallel()
	out, err := exec.CommandContext(t.Context(), "go", "list", "-deps", ".").Output()
	if err != nil {
		t.Fatalf("go list: %v", err)
	}
	deps := strings.Fields(string(out))
	if !slices.Contains(deps, "github.com/microsoftgraph/msgraph-sdk-go/models/odataerrors") {
		t.Fatal("the list of dependencies is not one")
	}
	for _, d := range deps {
		if rest, ok := strings.CutPrefix(d, "github.com/microsoftgraph/msgraph-sdk-go"); ok && rest != "/models/odataerrors" && !strings.HasPrefix(rest, "-core") {
			t.Errorf("depends on %s", d)
		}
	}
}
