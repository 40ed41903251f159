# shellcheck shell=bash
# Root file trees for images, gathered from the machine: programs with the libraries that ldd names, at the same paths.

# tree_copy ROOT FOLDER FILE…: files (links followed) into a folder of the tree.
tree_copy() {
  local root=$1 folder=$2
  shift 2
  mkdir -p "$root$folder"
  cp -L --no-preserve=all -- "$@" "$root$folder/"
}

# tree_copy_some ROOT FOLDER NAME…: those of the names that the machine has in that folder.
tree_copy_some() {
  local root=$1 folder=$2 name
  shift 2
  for name in "$@"; do
    if [ -f "$folder/$name" ]; then tree_copy "$root" "$folder" "$folder/$name"; fi
  done
}

# tree_libraries ROOT PROGRAM: the closure of shared libraries, the loader among them.
tree_libraries() {
  local library
  ldd "$2" | awk '$2 == "=>" && $3 ~ /^\// { print $3 } $1 ~ /^\// { print $1 }' | while read -r library; do
    tree_copy "$1" "${library%/*}" "$library"
    chmod 0755 "$1$library"
  done
}

# tree_program ROOT NAME FOLDER: a program of the machine, stripped of nothing, with its libraries.
tree_program() {
  local program
  program=$(command -v "$2") || fail "no $2 on this machine" "scripts/setup"
  tree_copy "$1" "$3" "$program"
  chmod 0755 "$1$3/$2"
  tree_libraries "$1" "$program"
}

# tree_node_program ROOT: Node without its symbols: 13 MB less in every image and in the memory of every guest.
tree_node_program() {
  mkdir -p "$1/usr/local/bin"
  strip -o "$1/usr/local/bin/node" "$NODE"
  chmod 0755 "$1/usr/local/bin/node"
}

# tree_shell ROOT: static busybox and a link for each of its commands.
tree_shell() {
  local command
  mkdir -p "$1/bin"
  cp -L --no-preserve=all -- "$(command -v busybox)" "$1/bin/busybox"
  chmod 0755 "$1/bin/busybox"
  busybox --list | while read -r command; do
    if [ "$command" != busybox ]; then ln -s busybox "$1/bin/$command"; fi
  done
}

# tree_users ROOT: names for the ids that images use; without them a USER line or `whoami` fails.
tree_users() {
  mkdir -p "$1/etc" "$1/root"
  printf '%s\n' 'root:x:0:0:root:/root:/bin/sh' 'node:x:1000:1000::/tmp:/bin/sh' 'nobody:x:65534:65534::/:/bin/sh' >"$1/etc/passwd"
  printf '%s\n' 'root:x:0:' 'node:x:1000:' 'nogroup:x:65534:' >"$1/etc/group"
  echo 'hosts: files dns' >"$1/etc/nsswitch.conf"
}

# tree_tar ROOT: the tree as tar with nothing of this machine or this moment in it.
tree_tar() {
  tar --create --directory "$1" --sort=name --mtime=@1 --owner=0 --group=0 --numeric-owner --format=gnu .
}
