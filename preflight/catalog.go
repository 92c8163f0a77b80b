package preflight

// Catalog gives the entries of this package, in the order of the reference.
func Catalog() []Entry {
	return []Entry{
		noAnswer,
		platformUnsupported, kernelOld, binaryUnreadable, binaryDynamic,
		usernsIDs, usernsMax, usernsClone, usernsAppArmor, usernsPod, usernsContainer, usernsUnusable,
		cgroupMemory, cgroupPIDs, memoryLow, cpusFew, diskLow,
		stateDenied, stateOthers, stateFull, stateNetwork, clockBehind,
		kvmMissing, kvmNotDevice, kvmMode, kvmDenied, kvmForbidden, kvmBusy, kvmNoModule, kvmUnusable,
		smolvmMissing, smolvmNotExecutable, smolvmNoLoader, smolvmBroken,
		dockerMissing, dockerDenied, dockerRemote, dockerStopped, dockerStrange,
	}
}
