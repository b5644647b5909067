import mujoco,json,sys
m=mujoco.MjModel.from_xml_path(sys.argv[1]); o={}
for n in dir(m):
    if n.startswith('_') or n in ('opt','vis','stat'): continue
    v=getattr(m,n)
    if callable(v) or isinstance(v,bytes): continue
    try: o[n]=v.tolist() if hasattr(v,'tolist') else (v if isinstance(v,(int,float)) else None)
    except Exception: pass
o['opt']={k:(getattr(m.opt,k).tolist() if hasattr(getattr(m.opt,k),'tolist') else getattr(m.opt,k)) for k in dir(m.opt) if not k.startswith('_')}
json.dump(o,sys.stdout,default=str)
