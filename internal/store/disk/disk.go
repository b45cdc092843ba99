// Package disk lies between SQLite and the real disk, so that a test can count what
// the state does to its files, and make any of it fail or be the last thing that its
// process did. It is a VFS (https://www.sqlite.org/vfs.html) that hands everything on
// to the system's own. Only tests import it.
package disk

import (
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"unsafe"

	"modernc.org/libc"
	sqlite3 "modernc.org/sqlite/lib"
)

// Op is what is done to a file.
type Op string

// The operations that are watched.
const (
	Write    Op = "write"
	Sync     Op = "sync"
	Truncate Op = "truncate"
	// Lock is one for writing to the log.
	Lock Op = "lock"
)

// Call is one operation on one file.
type Call struct {
	Op Op
	// File is the file's name without its directory.
	File string
	// Done is false before the operation and true after it.
	Done bool
}

// Code is how an operation ends: one of SQLite's result codes,
// https://www.sqlite.org/rescode.html.
type Code int32

// The ends that are given to operations.
const (
	OK       Code = sqlite3.SQLITE_OK
	Full     Code = sqlite3.SQLITE_FULL
	Broken   Code = sqlite3.SQLITE_IOERR_WRITE
	Unsynced Code = sqlite3.SQLITE_IOERR_FSYNC
	ReadOnly Code = sqlite3.SQLITE_READONLY
	Busy     Code = sqlite3.SQLITE_BUSY
)

// Watcher is called before and after each operation. If what it returns before one is
// not OK, the operation is not done and ends so; if what it returns after one is not OK,
// it was done and ends so nevertheless. Calls may come from several goroutines.
type Watcher func(Call) Code

// Watch calls w for the files of the database at a path, its log among them, that are
// opened from now on, until stop is called; an empty path is every database.
func Watch(path string, w Watcher) (stop func()) {
	install()
	v.mu.Lock()
	defer v.mu.Unlock()
	watched := &watch{path: filepath.Clean(path), w: w}
	if path == "" {
		watched.path = ""
	}
	v.watches = append(v.watches, watched)
	return func() {
		v.mu.Lock()
		defer v.mu.Unlock()
		for i, o := range v.watches {
			if o == watched {
				v.watches = append(v.watches[:i:i], v.watches[i+1:]...)
			}
		}
		watched.w = func(Call) Code { return OK }
	}
}

// Hasten makes SQLite's time to wait for a lock pass at once, in the whole process.
func Hasten() {
	install()
	v.hasty.Store(true)
}

type watch struct {
	path string
	w    Watcher
}

// file is an open file that is watched.
type file struct {
	watch   *watch
	name    string
	methods uintptr // the system's own
}

// v is the one VFS: SQLite's default is the process's.
var v struct {
	once sync.Once
	// under is the system's VFS, whose xOpen and xSleep are replaced in the copy.
	under        *sqlite3.Tsqlite3_vfs
	underAddress uintptr

	hasty atomic.Bool

	mu      sync.Mutex
	watches []*watch
	files   map[uintptr]*file
	// tables are the methods of watched files by those of the system that they stand
	// before.
	tables map[uintptr]uintptr
}

func install() {
	v.once.Do(func() {
		v.files, v.tables = map[uintptr]*file{}, map[uintptr]uintptr{}
		tls := libc.NewTLS()
		sqlite3.Xsqlite3_initialize(tls)
		v.underAddress = sqlite3.Xsqlite3_vfs_find(tls, 0)
		v.under = at[sqlite3.Tsqlite3_vfs](v.underAddress)
		size := unsafe.Sizeof(*v.under)
		mine := libc.Xmalloc(tls, libc.Tsize_t(size))
		vfs := at[sqlite3.Tsqlite3_vfs](mine)
		*vfs = *v.under
		name, err := libc.CString("watched")
		if err != nil {
			panic(err)
		}
		vfs.FpNext, vfs.FzName = 0, name
		vfs.FxOpen, vfs.FxSleep = function(open), function(sleep)
		if rc := sqlite3.Xsqlite3_vfs_register(tls, mine, 1); rc != sqlite3.SQLITE_OK {
			panic(rc)
		}
	})
}

// at is what lies at an address outside Go's memory.
func at[T any](address uintptr) *T { return (*T)(*(*unsafe.Pointer)(unsafe.Pointer(&address))) }

// function is the address by which C knows a function of a package, and called the
// function at such an address.
func function[F any](f F) uintptr { return *(*uintptr)(unsafe.Pointer(&f)) }

func called[F any](address uintptr) F { return *(*F)(unsafe.Pointer(&address)) }

type (
	xOpen     = func(tls *libc.TLS, vfs, name, file uintptr, flags int32, out uintptr) int32
	xClose    = func(tls *libc.TLS, file uintptr) int32
	xWrite    = func(tls *libc.TLS, file, data uintptr, n int32, offset sqlite3.Tsqlite3_int64) int32
	xTruncate = func(tls *libc.TLS, file uintptr, size sqlite3.Tsqlite3_int64) int32
	xSync     = func(tls *libc.TLS, file uintptr, flags int32) int32
	xSleep    = func(tls *libc.TLS, vfs uintptr, microseconds int32) int32
	xShmLock  = func(tls *libc.TLS, file uintptr, offset, n, flags int32) int32
)

func open(tls *libc.TLS, vfs, name, address uintptr, flags int32, out uintptr) int32 {
	rc := called[xOpen](v.under.FxOpen)(tls, v.underAddress, name, address, flags, out)
	if rc != sqlite3.SQLITE_OK || name == 0 {
		return rc
	}
	path := libc.GoString(name)
	v.mu.Lock()
	defer v.mu.Unlock()
	for _, w := range v.watches {
		rest, ok := strings.CutPrefix(filepath.Clean(path), w.path)
		if w.path != "" && (!ok || rest != "" && rest[0] != '-') {
			continue
		}
		f := at[sqlite3.Tsqlite3_file](address)
		v.files[address] = &file{watch: w, name: filepath.Base(path), methods: f.FpMethods}
		f.FpMethods = table(tls, f.FpMethods)
		break
	}
	return rc
}

// table returns the watched methods that stand before others.
func table(tls *libc.TLS, under uintptr) uintptr {
	if t, ok := v.tables[under]; ok {
		return t
	}
	from := at[sqlite3.Tsqlite3_io_methods](under)
	t := libc.Xmalloc(tls, libc.Tsize_t(unsafe.Sizeof(*from)))
	m := at[sqlite3.Tsqlite3_io_methods](t)
	*m = *from
	m.FxClose, m.FxWrite, m.FxTruncate, m.FxSync = function(closing), function(write), function(truncate), function(synchronize)
	if from.FxShmLock != 0 {
		m.FxShmLock = function(shmLock)
	}
	v.tables[under] = t
	return t
}

// watching returns a file that is open, and the methods of the system for it.
func watching(address uintptr) (*file, Watcher, *sqlite3.Tsqlite3_io_methods) {
	v.mu.Lock()
	defer v.mu.Unlock()
	f := v.files[address]
	return f, f.watch.w, at[sqlite3.Tsqlite3_io_methods](f.methods)
}

// watchedly does an operation unless its watcher says no.
func (f *file) watchedly(w Watcher, op Op, do func() int32) int32 {
	if c := w(Call{Op: op, File: f.name}); c != OK {
		return int32(c)
	}
	if rc := do(); rc != sqlite3.SQLITE_OK {
		return rc
	}
	return int32(w(Call{Op: op, File: f.name, Done: true}))
}

func closing(tls *libc.TLS, address uintptr) int32 {
	f, _, m := watching(address)
	v.mu.Lock()
	delete(v.files, address)
	v.mu.Unlock()
	at[sqlite3.Tsqlite3_file](address).FpMethods = f.methods
	return called[xClose](m.FxClose)(tls, address)
}

func write(tls *libc.TLS, address, data uintptr, n int32, offset sqlite3.Tsqlite3_int64) int32 {
	f, w, m := watching(address)
	return f.watchedly(w, Write, func() int32 { return called[xWrite](m.FxWrite)(tls, address, data, n, offset) })
}

func truncate(tls *libc.TLS, address uintptr, size sqlite3.Tsqlite3_int64) int32 {
	f, w, m := watching(address)
	return f.watchedly(w, Truncate, func() int32 { return called[xTruncate](m.FxTruncate)(tls, address, size) })
}

func synchronize(tls *libc.TLS, address uintptr, flags int32) int32 {
	f, w, m := watching(address)
	return f.watchedly(w, Sync, func() int32 { return called[xSync](m.FxSync)(tls, address, flags) })
}

// writerLock is the byte of the log's index that who writes to the log locks
// (https://www.sqlite.org/walformat.html#wal_locks).
const writerLock = 0

func shmLock(tls *libc.TLS, address uintptr, offset, n, flags int32) int32 {
	f, w, m := watching(address)
	do := func() int32 { return called[xShmLock](m.FxShmLock)(tls, address, offset, n, flags) }
	if offset != writerLock || flags != sqlite3.SQLITE_SHM_LOCK|sqlite3.SQLITE_SHM_EXCLUSIVE {
		return do()
	}
	return f.watchedly(w, Lock, do)
}

// sleep is where SQLite waits for a lock.
func sleep(tls *libc.TLS, _ uintptr, microseconds int32) int32 {
	if v.hasty.Load() {
		return microseconds
	}
	return called[xSleep](v.under.FxSleep)(tls, v.underAddress, microseconds)
}
