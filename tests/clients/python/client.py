"""Drives a machine by the client library firecracker-python, as published: the socket is
that of a process which waits; every call raises an exception when it is refused."""
import sys

from firecracker.api import Api
from firecracker.exceptions import APIError

socket, kernel, disk = sys.argv[1:]
api = Api(socket)
assert api.version.get().json()["firecracker_version"]
assert api.describe.get().json()["state"] == "Not started"
api.machine_config.put(vcpu_count=2, mem_size_mib=48)
api.machine_config.patch(vcpu_count=1)
api.boot.put(kernel_image_path=kernel, boot_args="quiet")
api.drive.put(drive_id="disk", path_on_host=disk, is_root_device=True, is_read_only=True)
api.vsock.put(guest_cid=3, uds_path=socket + ".vsock")
try:
    api.boot.put(kernel_image_path="/nonexistent")
    sys.exit("a kernel that is not there was taken")
except APIError as refusal:
    assert "The kernel file cannot be opened" in str(refusal), refusal
api.actions.put(action_type="InstanceStart")
assert api.describe.get().json()["state"] == "Running"
api.vm.patch(state="Paused")
assert api.describe.get().json()["state"] == "Paused"
api.vm.patch(state="Resumed")
api.drive.patch(drive_id="disk", path_on_host=disk)
config = api.vm_config.get().json()
assert config["machine-config"]["vcpu_count"] == 1, config
assert config["drives"][0]["path_on_host"] == disk, config
api.close()
print("python: all done")
