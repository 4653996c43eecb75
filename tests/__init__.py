"""The tests. Whatever imports them has temporary folders of its user's own."""

from tests.support.own_folder import use_own_folders

use_own_folders()
