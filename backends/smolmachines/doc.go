// Package smolmachines is the backend that runs a guest as a microVM, by smolvm
// (https://github.com/smol-machines/smolvm) and KVM.
//
// What it promises: the guest has a kernel of its own and no network. Its only
// ways out are the doors, Unix sockets that smolvm carries over vsock, or, in
// ModeAllowlist, ports of a network in which nothing else is. smolvm and
// its VMM run confined (see internal/confine): in namespaces without any network,
// as a user without rights, in a root that holds smolvm, the guest's image and the
// run's own folder, and die with the supervisor. So a guest that breaks out of its
// VMM is where a guest of the gvisor backend would be after breaking out of gVisor.
//
// What smolvm was told is never taken for what it did: the row that it stored is
// read back before the start, what it handed to the VMM is read after it, and the
// VMM's process is read from the kernel. Only then the proof begins.
//
// What it does not promise: everything known of smolvm here is from its source, up
// to Newest, and from a double that behaves accordingly. It was not verified on
// hardware.
package smolmachines
