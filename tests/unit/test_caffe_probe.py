"""The probe of Caffe nets: what it inserts, what it leaves alone, and its Python layer against a fake pycaffe."""
