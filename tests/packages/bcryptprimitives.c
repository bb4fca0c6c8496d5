/* For tests under a Wine that lacks it: the one function of bcryptprimitives.dll that Rust's standard library asks for,
 * forwarded to the generator that Wine has under its older name. Never part of a package. */
#include <windows.h>

BOOLEAN NTAPI SystemFunction036(PVOID buffer, ULONG length);

__declspec(dllexport) BOOL WINAPI ProcessPrng(PBYTE buffer, SIZE_T length) {
    return SystemFunction036(buffer, (ULONG)length);
}
