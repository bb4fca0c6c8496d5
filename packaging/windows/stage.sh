# Windows: built on Linux with mingw-w64, packed by NSIS. Read by packaging/build.

windows_target=x86_64-pc-windows-gnu
mingw=x86_64-w64-mingw32-

# Sets RUSTC and windows_options: rustup's target, or a compiler in /usr/bin with the standard library's sources (Debian:
# rustc-web and rust-web-src), from which that is built.
windows_tool_chain() {
    if [ -d "$(rustc --print sysroot)/lib/rustlib/$windows_target" ]; then
        export RUSTC=rustc
        windows_options=()
    elif [ -x /usr/bin/rustc ] && [ -f "$(/usr/bin/rustc --print sysroot)/lib/rustlib/src/rust/library/std/Cargo.toml" ]; then
        export RUSTC=/usr/bin/rustc RUSTC_BOOTSTRAP=1
        windows_options=(-Zbuild-std=std,panic_abort)
    else
        fail "no compiler for $windows_target: 'rustup target add $windows_target', or on Debian 'apt-get install --no-install-recommends rustc-web rust-web-src'"
    fi
}

# Icon, version and manifest of one executable, as an object that the linker takes.
windows_resource() {
    local name=$1 folder=$2
    sed -e "s|@ICON@|$folder/icons/coldbench.ico|; s|@MANIFEST@|$root/packaging/windows/coldbench.manifest|" \
        -e "s|@NUMBERS@|${windows_numbers//./,}|; s|@VERSION@|$version|; s|@NAME@|$name.exe|" \
        packaging/windows/coldbench.rc.in >"$folder/$name.rc"
    "${mingw}windres" "$folder/$name.rc" -O coff -o "$folder/$name.res.o"
}

windows_programs() (
    local built=$1 name
    windows_tool_chain
    CARGO_ENCODED_RUSTFLAGS=$(rust_flags "$RUSTC")
    export CARGO_ENCODED_RUSTFLAGS
    for name in coldbench coldbenchw; do
        windows_resource "$name" "$built"
        cargo rustc --locked --profile "$profile" "${windows_options[@]}" --target "$windows_target" --bin "$name" -- \
            -Clink-arg="$built/$name.res.o"
    done
)

# Every DLL that an executable asks for at its start must be on every Windows 10.
windows_check_imports() {
    local asked unknown
    asked=$("${mingw}objdump" -p "$1" | awk '/DLL Name:/ { print tolower($3) }' | sort -u)
    grep -qx kernel32.dll <<<"$asked" || fail "$(basename "$1") tells no imports"
    unknown=$(grep -v '^api-ms-win-' <<<"$asked" | grep -vxFf packaging/windows/system-dlls.txt || true)
    [ -z "$unknown" ] || fail "$(basename "$1") needs DLLs that not every Windows 10 has: ${unknown//$'\n'/ }"
}

windows() {
    need "${mingw}gcc" gcc-mingw-w64-x86-64
    need makensis nsis
    need rsvg-convert librsvg2-bin
    local built files name
    built=$target/$windows_target/$profile
    files=$built/files
    windows_numbers=${version%%[-+]*}
    rm -rf "$files"
    mkdir -p "$built/icons" "$files" "$out"
    packaging/icons "$built/icons"
    say "programs for $windows_target"
    windows_programs "$built"
    for name in coldbench coldbenchw; do
        part_symbols "$built/$name.exe" "$files/$name.exe" "$built/symbols/$name.exe.debug" "$mingw"
        windows_check_imports "$files/$name.exe"
    done
    mkdir -p "$files/firmware" "$files/cloud"
    cp assets/firmware/* "$files/firmware/"
    cp assets/cloud/* "$files/cloud/"
    cp packaging/windows/DRIVERS.txt LICENSE-MIT LICENSE-APACHE "$files/"
    cp "$licences" "$files/third-party-licences.txt"
    fix_times "$files"

    say "windows"
    # What the uninstaller takes away: these files, then the folders that are empty.
    (cd "$files" && find . -type f -printf '%P\n' | sort | sed 's|/|\\|g; s|.*|Delete "$INSTDIR\\&"|'
        find . -mindepth 1 -type d -printf '%P\n' | sort -r | sed 's|/|\\|g; s|.*|RMDir "$INSTDIR\\&"|') >"$built/uninstall.nsh"
    makensis -V2 -WX -NOCD "-DVERSION=$version" "-DNUMBERS=$windows_numbers" "-DFILES=$files" "-DLIST=$built/uninstall.nsh" \
        "-DICON=$built/icons/coldbench.ico" "-DOUT=$out/coldbench-$version-windows-x86_64-setup.exe" packaging/windows/installer.nsi
    gzip -9nc "$built/symbols/coldbench.exe.debug" >"$out/coldbench-$version-$windows_target.debug.gz"
}
